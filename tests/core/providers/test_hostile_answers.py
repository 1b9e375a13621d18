"""Answers that are written to cost time or memory cost a bounded amount of both, and hold up nobody."""

import asyncio
import base64
import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from core.failures import ExecutionFailed
from core.media import files as media_files
from core.providers import json_depth, reasoning
from core.providers.response import ModelAnswer, Reply, read_answer
from tests import practice
from tests.callers import PROMPT, Creator, environment

# Cases that were unbounded took from two seconds to minutes. Only CPU time counts, because other tests run beside this.
SECONDS = 1.5
MEGABYTE = 1024 * 1024
# json-repair takes eleven seconds for it.
ENDLESS = "[" + '"a ' * 7_990 + "]"
REFUSED = ("provider_malformed_json", "provider_malformed", "provider_reasoning_only")
FIXABLE = "{'a': 1, 'b': [2, 3,]}"


@contextmanager
def soon(seconds: float = SECONDS) -> Iterator[None]:
    """Fail if this process computes for longer."""
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


def said(content: str) -> bytes:
    """A chat completion with this content."""
    return json.dumps({"choices": [{"finish_reason": "stop", "message": {"content": content}}]}).encode()


def detail_of(answer: ModelAnswer) -> str:
    return answer.reply.detail if isinstance(answer.reply, ExecutionFailed) else "answered"


@pytest.mark.parametrize("quotes", [40_000, 200_000])
def test_depth_is_measured_in_linear_time(quotes: int) -> None:
    """Each quote of an unclosed string looks like the beginning of another one."""
    text = "[" * 40 + '"' + '\\"' * quotes + "[" * 20
    with soon():
        assert not json_depth.is_deeper(text, 64)
        assert json_depth.is_deeper(text + "[" * 5, 64)


@pytest.mark.parametrize(
    "content",
    [
        ENDLESS,
        "[" + "(" * 23_990 + "]",
        "{" * 20_000 + "}",
        '{"a":"' + '\\"' * 11_990 + "}",
        "[" * 40 + '"' + '\\"' * 500_000 + "]" * 40,
        "```json\n" * 200_000,
        "<think>" * 300_000,
        "</think>" + " \n" * 800_000,
        "[" + "[]," * 600_000 + "[]]",
    ],
    ids=["quotes", "round brackets", "braces", "escapes", "unclosed", "fences", "tags", "space", "values"],
)
def test_no_json_answer_costs_much(content: str) -> None:
    """Whatever a model writes instead of JSON is refused soon, and a document can be repaired right after it."""
    with soon():
        assert detail_of(read_answer(said(content), "json")) in REFUSED
    assert detail_of(read_answer(said(FIXABLE), "json")) == "answered"


def test_a_text_beyond_any_model_is_refused() -> None:
    """Four times what the longest answer can have."""
    assert detail_of(read_answer(said("a" * (4 * MEGABYTE)), "text")) == "answered"
    assert detail_of(read_answer(said("a" * (4 * MEGABYTE + 1)), "text")) == "provider_too_large"


async def test_repairs_hold_up_no_other_answer(creator: Creator) -> None:
    """While answers that json-repair never finishes wait for the repair, a document that parses is answered."""
    prompt = replace(PROMPT, modality="json")
    hostile = replace(prompt, max_output_tokens=401)
    asked = 0
    all_asked = asyncio.Event()

    def say(body: bytes) -> bytes:
        nonlocal asked
        if b'"max_completion_tokens":401' not in body:
            return practice.reply(200, said('{"a": 1}'))
        asked += 1
        if asked == 6:
            all_asked.set()
        return practice.reply(200, said(ENDLESS))

    async with practice.scripted(say) as url:
        with environment(INSTANT_OPENROUTER_URL=url):
            calls = [asyncio.create_task(creator.send(hostile, 60)) for _ in range(6)]
            await all_asked.wait()
            reply = (await creator.send(prompt, 60)).reply
            waiting = sum(not call.done() for call in calls)
            failures = await asyncio.gather(*calls)
    assert isinstance(reply, Reply)
    assert waiting > 1
    assert {detail_of(answer) for answer in failures} == {"provider_malformed_json"}


async def test_a_flood_of_lines_ends_the_call(creator: Creator) -> None:
    """More lines than any answer has, in a body of a few kilobytes; meanwhile, the process works on."""
    body = gzip.compress(b"data:\n" * 800_000)
    async with practice.scripted(lambda _body: practice.reply(200, body, b"content-encoding: gzip")) as url:
        with environment(INSTANT_OPENROUTER_URL=url):
            call = asyncio.create_task(creator.fail(deadline_seconds=60))
            turns = 0
            while not call.done():
                await asyncio.sleep(0)
                turns += 1
    assert (await call).detail == "provider_too_large"
    assert turns > 50


@pytest.mark.parametrize("packed", [False, True])
async def test_a_refusal_is_read_only_at_its_beginning(creator: Creator, packed: bool) -> None:
    """The status says enough; hundreds of megabytes after it are not read, and not unpacked."""
    body = b'{"error": "' + b"a" * (200 * MEGABYTE)
    said = (
        practice.reply(402, gzip.compress(body, 1), b"content-encoding: gzip") if packed else practice.reply(402, body)
    )
    async with practice.scripted(lambda _body: said) as url:
        with environment(INSTANT_OPENROUTER_URL=url), soon(3):
            assert (await creator.fail()).detail == "provider_402"


@pytest.mark.parametrize(
    "body",
    [
        b'{"usage":{"cost":0.' + b"1" * 8_000_000 + b"}}",
        b'{"a":[' + b"[]," * 5_000_000 + b"[]]}",
        b'data:{"usage":{%s}}\n\n' % b",".join(b'"k%d":1' % n for n in range(100_000))
        + b'data:{"usage":{"a":1}}\n\n' * 9_000,
        b'{"error":{"code":429,"availability":{"retry_after":"' + b"Mon, 1 " * 1_000_000 + b'"}}}',
        said("a," * 1_000_000),
    ],
    ids=["digits", "values", "usage", "date", "commas"],
)
def test_no_response_costs_much(body: bytes) -> None:
    """Numbers, lists, usage and dates of any length are read soon, or refused."""
    with soon():
        assert isinstance(read_answer(body, "text").reply, ExecutionFailed)


def _chunk(name: bytes, content: bytes = b"") -> bytes:
    return len(content).to_bytes(4) + name + content + zlib.crc32(name + content).to_bytes(4)


PNG_START = b"\x89PNG\r\n\x1a\n" + len(bytes(13)).to_bytes(4)
LENGTH = media_files.SIZE_LIMIT - 1024


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (media_files.picture, b"\xff\xd8\xff" + b"\xff" * LENGTH),
        (media_files.picture, b"GIF89a\1\0\1\0\0\0\0" + b"\x2c" + bytes(10) + b"\1\1" * (LENGTH // 2)),
        (media_files.picture, b"RIFF\0\0\0\0WEBPVP" + b"8X\0\0\0\0" + b"JUNK\0\0\0\0" * (LENGTH // 8)),
        (media_files.picture, b"\0\0\0\x0cftypavif" + b"\0\0\0\x08free" * (LENGTH // 8)),
        (media_files.sound, b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * (LENGTH // 8)),
        (media_files.sound, b"OggS\0\4" + bytes(21) + (b"OggS\0\0" + bytes(21)) * (LENGTH // 27)),
        (media_files.sound, b"fLaC" + bytes(4) * (LENGTH // 4)),
    ],
    ids=["jpeg", "gif", "webp", "avif", "wav", "ogg", "flac"],
)
def test_a_file_of_countless_parts_is_none(read: Callable[[str], object], data: bytes) -> None:
    """A step for each part is a bounded number of steps, because encoders write long parts."""
    encoded = base64.b64encode(data).decode()
    with soon():
        assert read(encoded if read is media_files.sound else f"data:image/png;base64,{encoded}") is None


def test_a_data_url_has_few_parameters() -> None:
    """The beginning of a picture's URL is short, so that matching it takes no memory."""
    with soon(0.5):
        assert media_files.picture("data:image/png" + ";a" * 10_000_000 + ";base64,AAAA") is None


def test_reasoning_is_cut_in_linear_time() -> None:
    with soon():
        assert reasoning.cut("<think>" * 200_000) == ""
        assert reasoning.cut("a</think> " * 200_000) == ""
