"""Answers as other people's bug reports quote them, byte by byte: what is whole is sold, and nothing else.

Each case names its source. The bytes reach the adapter over a real connection.
"""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.db.states import Modality
from core.failures import ExecutionFailed
from core.providers import client as provider_client
from core.providers import sse
from core.providers.errors import provider_failure
from core.providers.response import Reply, Wanted, judge, read_answer
from tests.callers import PROMPT, Creator, environment

Ending = Literal["proper", "cut", "reset", "held", "pings"]

USAGE = b'data: {"id":"gen-1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"cost":0.00012}}\n\n'
DONE = b"data: [DONE]\n\n"


def said(text: str, **more: object) -> bytes:
    """One delta, with any other members of its choice."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None} | more
    return b"data: " + json.dumps({"id": "gen-1", "choices": [choice]}).encode() + b"\n\n"


def stop(reason: str | None = "stop", **more: object) -> bytes:
    """The chunk that ends an answer."""
    return said("", finish_reason=reason, **more)


HELLO = said("Hello")
WHOLE = HELLO + stop() + USAGE + DONE
PARTIAL = said("Partial")
FENCE = "```"


def json_answer(text: str) -> bytes:
    """A finished answer with this text."""
    return said(text) + stop() + USAGE + DONE


# name -> (source, modality, body, what is sold, or the name of the failure)
CASES: dict[str, tuple[str, Modality, bytes, str]] = {
    # One strange event
    "empty data": ("openai/openai-python#3833", "text", HELLO + b"data: \n\n" + stop() + USAGE + DONE, "Hello"),
    "empty data, no space": ("wave-agent#1326", "text", b"data:\n\n" + WHOLE, "Hello"),
    "data without a colon": ("WHATWG 9.2.6", "text", HELLO + b"data\n\n" + stop() + USAGE + DONE, "Hello"),
    "done with a space": ("cadis#2329", "text", HELLO + stop() + USAGE + b"data: [DONE] \n\n", "Hello"),
    "done in lower case": ("control-layer#81", "text", HELLO + stop() + USAGE + b"data:  [done]\n\n", "Hello"),
    "ping": ("wave-agent#1326", "text", HELLO + b"event: ping\ndata: ping\n\n" + stop() + USAGE + DONE, "Hello"),
    "ping object": ("Anthropic streaming", "text", HELLO + b'data: {"type":"ping"}\n\n' + stop() + DONE, "Hello"),
    "null": ("control-layer#81", "text", HELLO + b"data: null\n\n" + stop() + USAGE + DONE, "Hello"),
    "comment as data": ("openrouter", "text", b"data: : OPENROUTER PROCESSING\n\n" + WHOLE, "Hello"),
    "bad byte": ("openai-python#3833", "text", WHOLE.replace(b"Hello", b"Hel\xfflo"), "Hel\ufffdlo"),
    "no json": ("cadis#2329", "text", HELLO + b"data: oops\n\n" + stop() + USAGE + DONE, "provider_malformed"),
    "no json afterwards": ("cadis#2329", "text", HELLO + stop() + b"data: oops\n\n" + USAGE + DONE, "Hello"),
    # The only choice
    "index missing": ("OpenRouterTeam/ai-sdk-provider#79", "text", WHOLE.replace(b'"index": 0, ', b""), "Hello"),
    "index null": ("vscode-unify-chat-provider#71", "text", WHOLE.replace(b'"index": 0', b'"index": null'), "Hello"),
    "index as text": ("litellm#3678", "text", WHOLE.replace(b'"index": 0', b'"index": "0"'), "Hello"),
    # A failure in every shape
    "error text": ("NeoGraph#124", "text", PARTIAL + b'data: {"error":"STREAM_EXPLODED"}\n\n' + DONE, "provider_502"),
    "error text, no end": ("NeoGraph#124", "text", PARTIAL + b'data: {"error":"Gone"}\n\n', "provider_502"),
    "error list": ("OmniRoute#8210", "text", PARTIAL + b'data: {"error":[{"code":503}]}\n\n', "provider_502"),
    "error in a choice": ("clicky#132", "text", said("Partial", error="boom") + DONE, "provider_502"),
    "event: error": (
        "farzaa/clicky#132",
        "text",
        PARTIAL + b'event: error\ndata: {"message":"Overloaded","type":"overloaded_error"}\n\n' + DONE,
        "provider_502",
    ),
    "type: error": (
        "rocketmq-dashboard#2178",
        "text",
        PARTIAL + b'data: {"type":"error","message":"Overloaded"}\n\n' + DONE,
        "provider_502",
    ),
    "error after the end": ("openai-python#574", "text", HELLO + stop() + b'data: {"error":"x"}\n\n' + DONE, "Hello"),
    "OpenRouter's error after the end": (
        "openrouter streaming errors",
        "text",
        HELLO + stop() + said("", finish_reason="error", error={"code": 502}) + USAGE + DONE,
        "Hello",
    ),
    "another reason after the end": ("OmniRoute#7800", "text", HELLO + stop() + stop("length") + USAGE + DONE, "Hello"),
    "error in a document": ("OmniRoute#8210", "text", b'{"choices":[],"error":"boom"}', "provider_502"),
    # Finished means finished
    "MAX_TOKENS": ("qwen-code#9884", "text", PARTIAL + stop("MAX_TOKENS") + USAGE + DONE, "provider_truncated"),
    "max_tokens": ("litellm#10768", "text", PARTIAL + stop("max_tokens") + USAGE + DONE, "provider_truncated"),
    "SAFETY": ("Marinara-Engine#3033", "text", PARTIAL + stop("SAFETY") + USAGE + DONE, "provider_content_filter"),
    "refusal": ("litellm#10768", "text", PARTIAL + stop("refusal") + USAGE + DONE, "provider_refused"),
    "End_Turn": ("litellm#10768", "text", HELLO + stop("End_Turn") + USAGE + DONE, "Hello"),
    "none at the end": ("vercel/ai#19165", "text", PARTIAL + USAGE + DONE, "provider_unfinished"),
    "a word nobody knows": ("OmniRoute#7800", "text", PARTIAL + stop("because") + USAGE + DONE, "provider_unfinished"),
    "native truncation": (
        "OmniRoute#7800",
        "text",
        PARTIAL + stop("stop", native_finish_reason="MAX_TOKENS") + USAGE + DONE,
        "provider_truncated",
    ),
    "native truncation alone": (
        "vercel/ai#19165",
        "text",
        PARTIAL + stop(None, native_finish_reason="MAX_TOKENS") + USAGE + DONE,
        "provider_truncated",
    ),
    "native words of Google": (
        "python-genai",
        "text",
        PARTIAL + stop("stop", native_finish_reason="FINISH_REASON_MAX_TOKENS") + USAGE + DONE,
        "provider_truncated",
    ),
    "hyphens": ("vercel/ai", "text", PARTIAL + stop("content-filter") + USAGE + DONE, "provider_content_filter"),
    "null as a word": ("dashscope", "text", said("Hel", finish_reason="null") + said("lo") + stop() + DONE, "Hello"),
    "cancelled": ("Cohere", "text", PARTIAL + stop("cancelled") + USAGE + DONE, "provider_unfinished"),
    "softened": (
        "Marinara-Engine#3033",
        "text",
        PARTIAL + stop("length") + stop() + USAGE + DONE,
        "provider_truncated",
    ),
    "tool calls": ("vercel/ai#19165", "text", PARTIAL + stop("tool_calls") + USAGE + DONE, "provider_tool_call"),
    "partial json": ("OmniRoute#7800", "json", said('{"total": 5, "items": ["a","b') + DONE, "provider_unfinished"),
    # JSON is mended, not invented
    "prose with brackets": (
        "crewAI#6613",
        "json",
        json_answer("I'm sorry, I can't do that [see policy]."),
        "provider_malformed_json",
    ),
    "prose with braces": (
        "json_repair#90",
        "json",
        json_answer("I can't fill {total} for you."),
        "provider_malformed_json",
    ),
    "prose with json": (
        "json_repair#159",
        "json",
        json_answer('I cannot help. See [1] and {"policy": "abuse"} for details.'),
        "provider_malformed_json",
    ),
    "prose that begins with a bracket": (
        "json_repair#159",
        "json",
        json_answer("[2026-11-27] No invoice was found."),
        "provider_malformed_json",
    ),
    "words in brackets": ("crewAI#6613", "json", json_answer("[see policy]"), "provider_malformed_json"),
    "one fence among prose": (
        "json_repair#90",
        "json",
        json_answer(f'Here is the JSON:\n{FENCE}json\n{{"total": 5}}\n{FENCE}\nLet me know {{if}} you need more.'),
        '{"total": 5}',
    ),
    "two fences": (
        "json_repair#90",
        "json",
        json_answer(f'{FENCE}json\n{{"a": 1}}\n{FENCE}\nor\n{FENCE}json\n{{"a": 2}}\n{FENCE}'),
        "provider_malformed_json",
    ),
    "two documents": ("json_repair#159", "json", json_answer('{"total": 1}\n{"total": 2}'), "provider_malformed_json"),
    "cut off": ("json_repair#90", "json", json_answer('{"total": 5, "items": ["a","b"]'), "provider_malformed_json"),
    "duplicate names": ("RFC 8259, 4", "json", json_answer('{"total": "x", "total": 5}'), "provider_malformed_json"),
    "5,000 digits": ("json_repair#159", "json", json_answer(f'{{"n": {"9" * 5000}}}'), f'{{"n": {"9" * 5000}}}'),
    "single quotes and a comma": ("json_repair#90", "json", json_answer("{'a': 'b', }"), '{"a": "b"}'),
    "comments": ("json_repair#90", "json", json_answer('{"a": 1, // one\n "b": 2}'), '{"a": 1, "b": 2}'),
    "bare names": ("json_repair#90", "json", json_answer("{a: 'b'}"), '{"a": "b"}'),
    "NaN": ("json_repair#90", "json", json_answer('{"a": NaN}'), "provider_malformed_json"),
    # Reasoning is no answer
    "think": (
        "ollama#18044",
        "text",
        said("<think>The template says: secret recipe</think>\n\nHello") + stop() + USAGE + DONE,
        "Hello",
    ),
    "think alone": (
        "ollama#18044",
        "text",
        said("<think>The template says: secret") + stop() + USAGE + DONE,
        "provider_reasoning_only",
    ),
    "a lone end": ("Rapid-MLX#1570", "text", said("They greet.</think>Hello") + stop() + USAGE + DONE, "Hello"),
    "twice": (
        "vllm#13125",
        "text",
        said("<THINK>a</THINK> <thinking>b</thinking> Hello") + stop() + USAGE + DONE,
        "Hello",
    ),
    "two lone ends": ("Rapid-MLX#1570", "text", said("a</think>b</think>Hello") + stop() + USAGE + DONE, "Hello"),
    "an end in the reasoning": (
        "ollama#18044",
        "text",
        said("<think>a </think> b</think>Hello") + stop() + USAGE + DONE,
        "Hello",
    ),
    "tags in the answer": (
        "ollama#18044",
        "text",
        said("Write <think>a</think> so") + stop() + USAGE + DONE,
        "Write <think>a</think> so",
    ),
    "other tags": ("Magistral", "text", said("[THINK]a[/THINK]Hello") + stop() + USAGE + DONE, "Hello"),
    "think about json": ("vllm#13125", "json", json_answer('<think>{"b": 2}</think>{"a": 1}'), '{"a": 1}'),
}


@pytest.mark.parametrize("name", CASES)
async def test_an_answer(creator: Creator, name: str) -> None:
    """An answer is sold or refused under its name; id and cost are recorded in either case."""
    _source, modality, body, outcome = CASES[name]
    async with provider(body, "proper") as url:
        with environment(INSTANT_OPENROUTER_URL=url):
            answer = await creator.send(replace(PROMPT, modality=modality))

    if outcome.startswith("provider_"):
        assert isinstance(answer.reply, ExecutionFailed)
        assert answer.reply.detail == outcome
    else:
        assert isinstance(answer.reply, Reply)
        assert answer.reply.response == outcome
    if USAGE in body:
        assert (answer.usage.generation_id, answer.usage.cost_usd) == ("gen-1", Decimal("0.00012"))


@pytest.mark.parametrize("ending", ["cut", "reset", "held", "pings"])
@pytest.mark.parametrize("body", [WHOLE, HELLO + stop() + USAGE], ids=["with done", "with usage"])
async def test_what_comes_after_the_end_changes_nothing(creator: Creator, body: bytes, ending: Ending) -> None:
    """aio-libs/aiohttp#4397, openai/openai-python#574: no last chunk, a reset, a connection that stays open."""
    async with provider(body, ending) as url:
        with environment(INSTANT_OPENROUTER_URL=url):
            answer = await creator.send(deadline_seconds=1.5)

    assert isinstance(answer.reply, Reply), answer.reply
    assert (answer.reply.response, answer.usage.cost_usd) == ("Hello", Decimal("0.00012"))


@pytest.mark.parametrize("ending", ["cut", "reset"])
async def test_a_break_before_the_end_is_a_break(creator: Creator, ending: Ending) -> None:
    """Id and cost that came before the break are recorded."""
    async with provider(HELLO + USAGE, ending) as url:
        with environment(INSTANT_OPENROUTER_URL=url):
            answer = await creator.send()

    assert isinstance(answer.reply, ExecutionFailed)
    assert (answer.reply.detail, answer.usage.cost_usd) == ("provider_cut", Decimal("0.00012"))
    assert answer.usage.generation_id == "gen-1"


def counting(text: str, **usage: object) -> bytes:
    """A delta with the usage so far."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + json.dumps({"id": "gen-1", "choices": [choice], "usage": usage}).encode() + b"\n\n"


def test_what_was_counted_on_the_way_is_not_the_cost() -> None:
    """CLIProxyAPI#2762, usage in each chunk: only the last counts, and after a break in the middle it is unknown."""
    collector = sse.Collector()
    collector.feed(counting("Hel", prompt_tokens=5, completion_tokens=1, cost=0.00001) + counting("lo") + stop())
    assert (collector.is_decided, collector.is_over) == (True, False)
    collector.feed(USAGE)
    assert collector.is_over
    assert judge(collector, Wanted("text")).usage.cost_usd == Decimal("0.00012")

    cut = sse.Collector()
    cut.feed(counting("Hel", prompt_tokens=5, completion_tokens=1, cost=0.00001))
    used = judge(cut, Wanted("text"), broken=provider_failure("provider_cut")).usage
    assert (used.generation_id, used.output_tokens, used.cost_usd) == ("gen-1", None, None)


async def test_no_usage_is_not_waited_for_without_end(creator: Creator) -> None:
    """A finish reason completes an answer; after it, an open connection is closed."""
    async with provider(HELLO + stop(), "pings") as url:
        with environment(INSTANT_OPENROUTER_URL=url):
            answer = await creator.send(deadline_seconds=30)

    assert isinstance(answer.reply, Reply)
    assert answer.usage.cost_usd is None


def usage(**told: object) -> bytes:
    """An event with this usage."""
    return b"data: " + json.dumps({"choices": [], "usage": told}).encode() + b"\n\n"


@pytest.mark.parametrize(
    "more",
    [
        usage(prompt_tokens=0, completion_tokens=0, cost=0),
        usage(prompt_tokens=5),
        usage(),
        usage(cost=None),
        usage(cost="free"),
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_usage_told_twice_is_merged(more: bytes, first: bool) -> None:
    """router-for-me/CLIProxyAPI#3077, opensecret#59: a missing value, or zero, replaces no number."""
    told = more + USAGE if first else USAGE + more
    answer = read_answer(HELLO + stop() + told + DONE, "text")

    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 2)
    assert answer.usage.cost_usd == Decimal("0.00012")


def test_usage_after_done_counts() -> None:
    """CLIProxyAPI#2762."""
    assert read_answer(HELLO + stop() + DONE + USAGE, "text").usage.cost_usd == Decimal("0.00012")


@given(st.lists(st.integers(1, 80), max_size=40), st.sampled_from(sorted(CASES)))
def test_where_bytes_are_cut_changes_nothing(sizes: list[int], name: str) -> None:
    """However a network splits an answer, it is read the same."""
    _source, modality, body, _outcome = CASES[name]
    collector, place = sse.Collector(), 0
    for size in sizes:
        collector.feed(body[place : place + size])
        place += size
    collector.feed(body[place:])
    pieces, whole = judge(collector, Wanted(modality)), read_answer(body, modality)

    assert pieces.usage == whole.usage
    assert repr(pieces.reply) == repr(whole.reply)
    if isinstance(whole.reply, Reply):
        assert pieces.reply == whole.reply


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab c", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES.filter(lambda value: isinstance(value, dict | list)), st.data())
def test_mending_invents_nothing(value: object, data: st.DataObject) -> None:
    """A document that lost characters is refused, or comes back with every string and number that is left in it."""
    text = json.dumps(value, ensure_ascii=False)
    lost = data.draw(st.sets(st.integers(0, len(text) - 1), max_size=3))
    broken = "".join(character for place, character in enumerate(text) if place not in lost)
    answer = read_answer(json_answer(broken), "json")
    if isinstance(answer.reply, Reply):
        kept = [character for character in broken if character.isalnum()]
        assert [character for character in answer.reply.response if character.isalnum()] == kept


@pytest.mark.parametrize(
    ("number", "schema", "fits"),
    [
        ("0.1", {"minimum": 0.1}, True),
        ("0.3", {"maximum": 0.3}, True),
        ("0.1", {"enum": [0.1, 0.2]}, True),
        ("5.0", {"type": "integer"}, True),
        ("1e400", {"maximum": 5}, False),
        ("1e999999999999999999999", {"type": "number"}, True),
        ("9" * 5000, {"type": "integer", "minimum": 1}, True),
        ("-" + "9" * 5000, {"minimum": 1}, False),
    ],
)
def test_numbers_are_compared_as_the_schema_has_them(number: str, schema: dict[str, object], fits: bool) -> None:
    """A number in another spelling than the schema's is the same number, and numbers of any length are accepted."""
    body = json_answer(f'{{"n": {number}}}')
    reply = read_answer(body, "json", json.dumps({"type": "object", "properties": {"n": schema}})).reply
    assert isinstance(reply, Reply) is fits


@pytest.mark.parametrize(
    "text",
    [
        *("{" * 16_000, "[" * 100_000, '{"a":' * 16_000, '{"a": "' + '"' * 200_000 + "}"),
        *(f"{FENCE}json\n" * 60_000, "[" + "/* " * 30_000 + "]", "[" + "/* " * 7_000 + "]"),
    ],
    ids=["braces", "brackets", "members", "quotes", "fences", "comments", "short comments"],
)
def test_hostile_documents_are_refused_without_work(text: str) -> None:
    """16,000 opening braces once took seven seconds and blocked the interpreter; the test run's timeout checks this."""
    reply = read_answer(json_answer(text), "json").reply

    assert isinstance(reply, ExecutionFailed)
    assert reply.detail == "provider_malformed_json"


@asynccontextmanager
async def provider(body: bytes, ending: Ending) -> AsyncIterator[str]:
    """A provider that answers 200 with these bytes, and then treats the connection as scripted; yields its URL."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%b\r\n" % (len(body), body))
        await writer.drain()
        try:
            if ending == "proper":
                writer.write(b"0\r\n\r\n")
            if ending == "reset":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            while ending == "pings":
                writer.write(b"f\r\n: keepalive\r\n\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)
            if ending == "held":
                await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()

    await provider_client.close()
    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await provider_client.close()
