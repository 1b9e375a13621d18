"""The call to the practice OpenRouter: its request, its time limits, and its cost."""

import asyncio
import base64
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.failures import ExecutionFailed
from core.providers import client as provider_client
from core.providers import openrouter
from core.providers import request as provider_request
from core.providers.registry import OPENROUTER
from core.providers.response import Reply
from core.providers.usage import Prices, TierPrices
from core.secrets.private import Private
from core.settings import settings
from tests import practice, servers, shops
from tests.callers import PROMPT, SECRET, Creator, assert_bare, environment


async def test_a_text_answer_brings_its_exact_cost(creator: Creator) -> None:
    """The cost is the provider's decimal, equal to tokens times catalog price."""
    answer = await creator.send()
    used, reply = answer.usage, answer.reply
    assert isinstance(reply, Reply)
    assert SECRET in reply.response
    assert reply.images == ()
    assert used.input_tokens
    assert used.output_tokens
    assert used.cost_usd == used.input_tokens * Decimal("0.00000025") + used.output_tokens * Decimal("0.000002")
    [generation] = (await creator.seen())["generations"]
    assert (used.generation_id, used.model_served) == (generation["id"], "openai/gpt-5-mini")
    assert (generation["cost"], generation["cancelled"]) == (used.cost_usd, False)
    assert SECRET not in repr(answer)
    assert SECRET not in repr(PROMPT)


async def test_the_cost_has_every_digit(creator: Creator) -> None:
    """A price of 22 decimals travels as a JSON number, of which the SDK would make a binary float."""
    used = (await creator.send(replace(PROMPT, model="google/gemma-3-27b-it"))).usage
    [generation] = (await creator.seen())["generations"]
    assert used.input_tokens
    assert used.output_tokens
    exact = used.input_tokens * Decimal("0.0000000416666666666667") + used.output_tokens * Decimal("0.00000015")
    assert used.cost_usd == generation["cost"] == exact
    assert used.cost_usd != Decimal(str(float(exact)))


async def test_the_request_says_what_openrouter_needs(creator: Creator) -> None:
    """One streamed body, with one limit of the answer, without prompt compression, and with the buyer's hashed id."""
    await creator.send(cache_seconds=60)
    [request] = (await creator.seen())["requests"]
    assert request["body"] == {
        "model": PROMPT.model,
        "messages": list(PROMPT.messages),
        "max_completion_tokens": 400,
        "stream": True,
        "temperature": Decimal("0.7"),
        "user": "b-4f2a",
        "metadata": {"execution_id": str(PROMPT.execution_id), "nonce": "1.1"},
        "plugins": [{"id": "context-compression", "enabled": False}],
    }
    assert request["headers"]["http-referer"] == settings().public_url
    assert request["headers"]["x-openrouter-title"] == "x402 Instant"
    assert request["headers"]["x-openrouter-cache"] == "true"
    assert request["headers"]["x-openrouter-cache-ttl"] == "60"


async def test_privacy_is_asked_for(creator: Creator) -> None:
    """Zero data retention is in the routing rules, and without a cache time no cache is requested."""
    await creator.send(replace(PROMPT, zdr=True))
    [request] = (await creator.seen())["requests"]
    assert request["body"]["provider"] == {"zdr": True, "data_collection": "deny"}
    assert "x-openrouter-cache" not in request["headers"]


@pytest.mark.parametrize(("factor", "served"), [("0.5", True), ("1", True), ("1.001", False)])
async def test_no_endpoint_may_be_dearer_than_the_list(creator: Creator, factor: str, served: bool) -> None:
    """The list price was reserved: an endpoint that costs more is not called, and nothing is charged."""
    listed = Prices(Decimal("0.00000025"), Decimal("0.000002"), Decimal(0))
    await creator.order(price_factor=factor)
    answer = await creator.send(replace(PROMPT, prices=listed))
    seen = await creator.seen()

    assert seen["requests"][0]["body"]["provider"]["max_price"] == {"prompt": Decimal("0.25"), "completion": 2}
    if served:
        assert isinstance(answer.reply, Reply)
    else:
        assert isinstance(answer.reply, ExecutionFailed)
        assert (answer.reply.detail, answer.reply.fault) == ("provider_404_price", "creator")
        assert seen["generations"] == []


@given(st.decimals(0, 1, places=24))
def test_a_ceiling_never_shuts_out_its_own_price(price: Decimal) -> None:
    """The limit is in dollars per million tokens, as a JSON number, which holds fewer digits than a price."""
    fields = openrouter.fields(replace(PROMPT, prices=Prices(price, price, Decimal(0))), 1)
    ceiling = json.loads(json.dumps(fields), parse_float=Decimal)["provider"]["max_price"]["prompt"]
    assert price * 10**6 <= ceiling <= price * 10**6 * (1 + Decimal(2) ** -50)


PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
PAPER = {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://example.org/a.pdf"}}


@pytest.mark.parametrize(
    ("words", "ceiling"),
    [
        *(("x" * 30_000, 1), ("x" * 31_000, 4), ("ü" * 15_500, 4)),
        *(
            ([PICTURE], 1),
            ([PICTURE, PICTURE], 4),
            ([{"type": "text", "text": "x" * 15_000}, PICTURE], 4),
            ([PAPER], 4),
        ),
    ],
)
def test_the_ceiling_is_the_price_of_a_prompt_of_that_length(words: object, ceiling: int) -> None:
    """A prompt that cannot reach a tier, with every byte as a token, is not called at that tier's price."""
    long = TierPrices(Decimal("4e-6"), Decimal("4e-6"), Decimal(0), above=32_000)
    prices = Prices(Decimal("1e-6"), Decimal("1e-6"), Decimal(0), (long,))
    prompt = replace(PROMPT, prices=prices, messages=({"role": "user", "content": words},))

    assert openrouter.fields(prompt, 1)["provider"]["max_price"] == {"prompt": ceiling, "completion": ceiling}


async def test_json_is_asked_for_and_parses(creator: Creator) -> None:
    """The json modality requests an object and returns a document."""
    reply = await creator.complete(
        replace(PROMPT, modality="json", temperature=None, supported=("response_format", "temperature"))
    )
    assert isinstance(json.loads(reply.response), dict)
    [request] = (await creator.seen())["requests"]
    assert request["body"]["response_format"] == {"type": "json_object"}
    assert request["body"]["provider"] == {"require_parameters": True}
    assert "temperature" not in request["body"]


async def test_effort_and_providers_are_sent_where_they_mean_something(creator: Creator) -> None:
    """Reasoning goes out only where the model lists it; the choice of providers stands beside our own rules."""
    asked = replace(PROMPT, reasoning_effort="low", routing={"only": ["openai"], "order": ["openai"]}, zdr=True)
    await creator.complete(replace(asked, supported=("reasoning",)))
    await creator.complete(asked)
    first, second = [request["body"] for request in (await creator.seen())["requests"]]
    assert first["reasoning"] == {"effort": "low"}
    assert first["provider"] == {"only": ["openai"], "order": ["openai"], "zdr": True, "data_collection": "deny"}
    assert "reasoning" not in second


async def test_an_image_is_a_real_picture(creator: Creator) -> None:
    """The image modality requests pictures and returns files; the text may be empty."""
    painter = {"model": "google/gemini-2.5-flash-image", "outputs": ("text", "image")}
    reply = await creator.complete(replace(PROMPT, modality="image", **painter))
    [image] = reply.images
    assert not isinstance(image, str)
    assert image.kind == "image/png"
    assert image.data.startswith(b"\x89PNG\r\n\x1a\n")
    assert base64.b64decode(image.data_url.removeprefix("data:image/png;base64,")) == image.data
    assert reply.response == ""
    [request] = (await creator.seen())["requests"]
    assert request["body"]["modalities"] == ["image", "text"]


@pytest.mark.parametrize(
    "fault", ["parts", "comment", "comments:0.05", "whitespace", "slow:0.05", "drip:0.1", "plain", "no_done"]
)
async def test_odd_forms_of_a_good_answer_are_read(creator: Creator, fault: str) -> None:
    """Parts, keep-alive comments or newlines, and a document instead of events are still read as the paid answer."""
    await creator.order(fault)
    answer = await creator.send()
    assert isinstance(answer.reply, Reply)
    assert answer.reply.response.startswith("Practice answer")
    assert SECRET in answer.reply.response
    assert answer.usage.cost_usd


@pytest.mark.parametrize("fault", ["reasoning_only", "truncated", "refusal", "empty", "tool_call", "says:no json"])
async def test_a_useless_answer_tells_its_cost(creator: Creator, fault: str) -> None:
    """The charge of an answer that cannot be sold is known exactly."""
    await creator.order(fault)
    answer = await creator.send(replace(PROMPT, modality="json"))
    assert isinstance(answer.reply, ExecutionFailed)
    [generation] = (await creator.seen())["generations"]
    assert answer.usage.cost_usd == generation["cost"] > 0


async def test_the_generation_is_told_before_its_body(creator: Creator) -> None:
    """The generation's id comes with the headers, also when the body never ends; refusals have none."""
    await creator.order("silent", "status:503")
    failure = await creator.fail(deadline_seconds=1)
    assert failure.detail == "provider_timeout"
    [noted] = creator.noted
    assert noted.startswith("gen-")
    assert (await creator.fail()).detail == "provider_503"
    assert creator.noted == [noted]


@pytest.mark.parametrize("fault", ["hang", "whitespace:5", "comments:5", "drip:5", "slow:5"])
async def test_the_deadline_holds_against_silence_and_against_keep_alive(creator: Creator, fault: str) -> None:
    """Newlines, comments or words sent for seconds keep a read timeout from firing, but not the deadline."""
    await creator.order(fault)
    failure = await creator.fail(deadline_seconds=0.3)
    assert (failure.code, failure.detail, failure.resend) == ("generation_timeout", "provider_timeout", False)
    assert len((await creator.seen())["requests"]) == 1


@pytest.mark.parametrize("fault", ["hang", "silent"])
async def test_silence_ends_a_call_before_its_deadline(creator: Creator, fault: str) -> None:
    """A call ends after silence before the first byte or within a stream; keep-alive signs do not count as silence."""
    await provider_client.close()
    await creator.order(fault, "comments:1", latency_seconds=0)
    with environment(INSTANT_IDLE_SECONDS="0.4"):
        failure = await creator.fail()
        reply = await creator.complete()
    assert (failure.code, failure.detail, failure.resend) == ("generation_timeout", "provider_silent", True)
    assert reply.response


async def test_a_cancelled_call_stops_the_bill(creator: Creator) -> None:
    """Cancelling closes the stream, which the provider notices; it is not counted as the provider's failure."""
    await creator.order("drip:30")
    call = asyncio.create_task(creator.send())

    async def begun() -> bool:
        return bool(creator.noted)

    await shops.eventually(begun)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await assert_cancelled(creator)


async def test_a_call_that_is_left_before_its_body_stops_the_bill(creator: Creator) -> None:
    """This holds also when the body has not been read at all."""
    creator.note_seconds = 30
    await creator.order("drip:30")
    assert (await creator.fail(deadline_seconds=0.3)).detail == "provider_timeout"
    await assert_cancelled(creator)


async def assert_cancelled(creator: Creator) -> None:
    """Check that the provider saw its only generation cancelled."""

    async def booked() -> bool:
        return bool((await creator.seen())["generations"])

    await shops.eventually(booked)
    [generation] = (await creator.seen())["generations"]
    assert (generation["id"], generation["cancelled"]) == (creator.noted[0], True)


async def test_the_identical_request_is_answered_from_the_cache(creator: Creator) -> None:
    """After a loss: same bytes, same answer, one charge, and the source is named. Another nonce is a new request."""
    await creator.order("cut;done=1")
    lost = await creator.send(cache_seconds=60)
    again = await creator.send(cache_seconds=60)
    anew = await creator.send(number=2, cache_seconds=60)
    without = await creator.send()
    generations = (await creator.seen())["generations"]

    assert isinstance(lost.reply, ExecutionFailed)
    assert lost.reply.detail == "provider_cut"
    assert isinstance(again.reply, Reply)
    assert (again.usage.cost_usd, again.usage.source_id) == (0, lost.usage.generation_id)
    assert (again.usage.input_tokens, again.usage.output_tokens) == (None, None)
    assert again.usage.generation_id not in (None, lost.usage.generation_id)
    assert [one.usage.source_id for one in (anew, without)] == [None, None]
    assert len(generations) == 3


async def test_a_refused_connection_may_be_tried_again(creator: Creator) -> None:
    """Nothing was sent, so sending again is safe; a new base URL gets a new client."""
    with environment(INSTANT_OPENROUTER_URL=f"http://127.0.0.1:{servers.free_port()}/api/v1"):
        failure = await creator.fail()
    assert (failure.detail, failure.fault, failure.resend) == ("provider_unreachable", "provider", True)
    assert (await creator.complete()).response


async def test_variables_of_another_openai_account_do_not_travel(creator: Creator) -> None:
    """OPENAI_* in the environment change neither address nor key nor headers."""
    await provider_client.close()
    with environment(
        OPENAI_API_KEY="sk-other",  # pragma: allowlist secret
        OPENAI_ADMIN_KEY="sk-other-admin",
        OPENAI_ORG_ID="org-other",
        OPENAI_PROJECT_ID="proj-other",
        OPENAI_BASE_URL="http://127.0.0.1:9/v1",
        OPENAI_CUSTOM_HEADERS="X-Other: org-other\nAuthorization: Bearer sk-other",
    ):
        await creator.complete()
    [request] = (await creator.seen())["requests"]
    assert "other" not in json.dumps(request["headers"])
    assert not [name for name in request["headers"] if name.startswith(("openai-", "x-other", "x-stainless"))]


@pytest.mark.parametrize(
    "fault", ["none", "status:403", "status:500", "error_200", "error_chunk", "html", "cut", "silent"]
)
async def test_the_sdk_logs_neither_key_nor_words(
    creator: Creator, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """With all logs of the SDK and its HTTP library on, as with OPENAI_LOG=debug, only codes and phases appear."""
    await creator.order(*([] if fault == "none" else [fault]))
    caplog.set_level("DEBUG")
    await creator.send(deadline_seconds=0.5 if fault == "silent" else 10)
    assert "HTTP" in caplog.text
    assert not [line for line in caplog.messages if creator.key in line or SECRET in line]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(creator: Creator, status: int) -> None:
    """A redirect could charge the call twice and send the key elsewhere, so none is followed."""
    await creator.order(f"status:{status}*always")
    assert (await creator.fail()).detail == f"provider_{status}"
    assert len((await creator.seen())["requests"]) == 1


async def test_one_client_carries_all_keys_on_kept_connections(creator: Creator) -> None:
    """The key is set per call: two creators, one client, one connection."""
    connections = 0

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-len"))
                await reader.readexactly(length)
                keys.append(next(line for line in head.split(b"\r\n") if line.lower().startswith(b"authorization")))
                writer.write(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()

    keys: list[bytes] = []
    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with environment(INSTANT_OPENROUTER_URL=f"http://127.0.0.1:{port}"):
            for name in ("first", "second"):
                await Creator(name, creator.door).fail()
    assert [key.split()[-1] for key in keys] == [b"first", b"second"]
    assert connections == 1


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        (b"", "provider_cut"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{", "provider_cut"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope", "provider_cut"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "provider_malformed"),
        (b"nonsense\r\n\r\n", "provider_cut"),
        (practice.reply(402, b"{}"), "provider_402"),
        (practice.reply(429, b"{}", b"retry-after: 900"), "provider_429"),
    ],
)
async def test_one_call_is_one_send(creator: Creator, said: bytes, detail: str) -> None:
    """The SDK would repeat a cut or refused request up to three times; here each is sent once, with its name."""
    sent = []

    def say(body: bytes) -> bytes:
        sent.append(body)
        return said

    async with practice.scripted(say) as url:
        with environment(INSTANT_OPENROUTER_URL=url):
            failure = await creator.fail()
    assert failure.detail == detail
    assert sent == [provider_request.encode(OPENROUTER.fields(PROMPT, 1))]


async def test_what_cannot_be_sent_is_not_sent(creator: Creator) -> None:
    """A key with a line break, or a prompt that is not UTF-8, is refused before sending, without quoting either."""
    failure = await Creator(f"{creator.key}\r\nX-Evil: 1", creator.door).fail()
    assert (failure.detail, failure.fault) == ("provider_401", "creator")
    surrogate = replace(PROMPT, messages=({"role": "user", "content": f"{SECRET} \ud800"},))
    with pytest.raises(ExecutionFailed) as caught:
        provider_request.encode(OPENROUTER.fields(surrogate, 1))
    assert (caught.value.code, caught.value.fault) == ("internal_error", "ours")
    assert caught.value.__context__ is None
    assert (await creator.seen())["requests"] == []


async def test_a_flood_is_not_read_to_its_end(creator: Creator) -> None:
    """An answer larger than any that can be sold ends the call, and does not exhaust this process."""
    flood = b"HTTP/1.1 200 OK\r\ncontent-length: 70000000\r\n\r\n" + b" " * 70_000_000
    async with practice.scripted(lambda _body: flood) as url:
        with environment(INSTANT_OPENROUTER_URL=url):
            failure = await creator.fail()
    assert (failure.detail, failure.resend) == ("provider_too_large", False)


async def test_a_key_is_checked_without_a_call(creator: Creator) -> None:
    """`GET /key` returns the masked label, the rest of the limit, and whether the key only manages keys."""
    facts = await provider_client.check_key(OPENROUTER, Private(creator.key))
    assert facts == provider_client.KeyFacts(f"{creator.key[:12]}...{creator.key[-4:]}", None, False)
    await creator.order(credits="12.34567890123", management=True)
    facts = await provider_client.check_key(OPENROUTER, Private(creator.key))
    assert (facts.limit_remaining_usd, facts.is_management_key) == (Decimal("12.34567890123"), True)
    await creator.order(revoked=True)
    for key in (creator.key, "sk-or-v1-unknown", "no key at all"):
        with pytest.raises(ExecutionFailed) as caught:
            await provider_client.check_key(OPENROUTER, Private(key))
        told: Any = caught.value
        assert (told.code, told.fault, told.detail) == ("resource_unavailable", "creator", "provider_401")
        assert_bare(told, key)
