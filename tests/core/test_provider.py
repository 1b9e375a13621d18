"""The provider adapter against the practice OpenRouter: every way an answer can arrive, or not."""

import asyncio
import base64
import json
import os
import pickle
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from types import TracebackType
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import provider
from core.failures import ExecutionFailed
from core.normalise import Modality, read_key, read_reply
from core.private import Private
from core.provider import Prompt
from core.refusal import read_error, read_refusal
from core.settings import settings
from tests import servers

SECRET = "xylophone-canary-7"
PROMPT = Prompt(
    model="openai/gpt-5-mini",
    messages=({"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Say {SECRET} in French"}),
    modality="text",
    max_output_tokens=400,
    temperature=Decimal("0.7"),
    buyer="b-4f2a",
    execution_id=UUID("01890000-0000-7000-8000-000000000001"),
)


@dataclass
class Creator:
    """A practice key and the control door's view of it."""

    key: str
    door: httpx.AsyncClient

    async def order(self, *faults: str, **wish: Any) -> None:
        answer = await self.door.put(f"/practice/keys/{self.key}", json={"faults": faults, **wish})
        assert answer.status_code == 204, answer.text

    async def seen(self, arrived: int = 0) -> dict[str, Any]:
        answer = await self.door.get(f"/practice/keys/{self.key}", params={"arrived": arrived})
        return dict(json.loads(answer.text, parse_float=Decimal))

    async def complete(self, prompt: Prompt = PROMPT, deadline_seconds: float = 10) -> provider.Reply:
        answer = await provider.complete(Private(self.key), Private(prompt), deadline_seconds=deadline_seconds)
        return answer.reveal()

    async def fail(self, prompt: Prompt = PROMPT, deadline_seconds: float = 10) -> ExecutionFailed:
        with pytest.raises(ExecutionFailed) as caught:
            await self.complete(prompt, deadline_seconds)
        return caught.value


@pytest.fixture
async def creator(practice_openrouter: str) -> AsyncIterator[Creator]:
    root = practice_openrouter.removesuffix("/api/v1")
    async with httpx.AsyncClient(base_url=root, trust_env=False, timeout=10) as door:
        someone = Creator(f"sk-or-v1-practice-{uuid4().hex}", door)
        await someone.order(latency_seconds=0)
        yield someone
    await provider.close()


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """The process with these variables and settings read anew."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    settings.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        settings.cache_clear()


async def test_a_text_answer_brings_its_exact_cost(creator: Creator) -> None:
    """Cost is the decimal that the provider wrote, equal to tokens times catalog price."""
    reply = await creator.complete()
    assert SECRET in reply.response
    assert reply.images == ()
    assert reply.input_tokens
    assert reply.output_tokens
    expected = reply.input_tokens * Decimal("0.00000025") + reply.output_tokens * Decimal("0.000002")
    assert reply.cost_usd == expected
    [generation] = (await creator.seen())["generations"]
    assert (reply.generation_id, reply.model_served) == (generation["id"], "openai/gpt-5-mini")
    assert SECRET not in repr(reply)
    assert SECRET not in repr(PROMPT)


async def test_the_request_says_what_openrouter_needs(creator: Creator) -> None:
    """One body, with one bound of the answer, no compression of the prompt, and the buyer's hashed id."""
    await creator.complete()
    [request] = (await creator.seen())["requests"]
    assert request["body"] == {
        "model": PROMPT.model,
        "messages": list(PROMPT.messages),
        "max_completion_tokens": 400,
        "temperature": Decimal("0.7"),
        "user": "b-4f2a",
        "metadata": {"execution_id": str(PROMPT.execution_id)},
        "plugins": [{"id": "context-compression", "enabled": False}],
    }
    assert request["headers"]["http-referer"] == settings().public_url
    assert request["headers"]["x-openrouter-title"] == "x402 Instant"


async def test_json_is_asked_for_and_parses(creator: Creator) -> None:
    """The json modality asks for an object and gives back a document."""
    reply = await creator.complete(replace(PROMPT, modality="json", temperature=None))
    assert isinstance(json.loads(reply.response), dict)
    [request] = (await creator.seen())["requests"]
    assert request["body"]["response_format"] == {"type": "json_object"}
    assert "temperature" not in request["body"]


async def test_an_image_is_a_real_picture(creator: Creator) -> None:
    """The image modality asks for pictures and gives back data URLs; the text may be empty."""
    reply = await creator.complete(replace(PROMPT, model="google/gemini-2.5-flash-image", modality="image"))
    [url] = reply.images
    assert base64.b64decode(url.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG\r\n\x1a\n")
    assert reply.response == ""
    [request] = (await creator.seen())["requests"]
    assert request["body"]["modalities"] == ["image", "text"]


@pytest.mark.parametrize("fault", ["parts", "comment", "whitespace", "slow:0.05"])
async def test_odd_forms_of_a_good_answer_are_read(creator: Creator, fault: str) -> None:
    """Content in parts, keep-alive comments or newlines before the document: still the answer that was paid for."""
    await creator.order(fault)
    reply = await creator.complete()
    assert reply.response.startswith("Practice answer")
    assert SECRET in reply.response
    assert reply.cost_usd is not None


FILTERED = ("content_filtered", "buyer")
GONE = ("resource_unavailable", "provider")
OWN = ("resource_unavailable", "creator")
LATE = ("generation_timeout", "provider")


@pytest.mark.parametrize(
    ("fault", "verdict", "detail", "resend"),
    [
        ("status:400", OWN, "provider_400", False),
        ("status:400;error_type=content_policy_violation", FILTERED, "provider_400", False),
        ("status:401", OWN, "provider_401", False),
        ("status:402", OWN, "provider_402", False),
        ("status:402;reason=weight_exceeds_budget", OWN, "provider_402", False),
        ("status:402;reason=in_flight_budget_exhausted", OWN, "provider_402", True),
        ("status:403", FILTERED, "provider_403", False),
        ("status:403;limit_source=openrouter_key_limit", OWN, "provider_403", False),
        ("status:404", OWN, "provider_404", False),
        ("status:404;availability=no_endpoints", OWN, "provider_404", False),
        ("status:408", LATE, "provider_408", True),
        ("status:422", OWN, "provider_422", False),
        ("status:429", GONE, "provider_429", True),
        ("status:429;availability=capacity_exhausted", GONE, "provider_429", True),
        ("status:500", GONE, "provider_500", True),
        ("status:502", GONE, "provider_502", True),
        ("status:503", GONE, "provider_503", True),
        ("status:503;availability=model_deprecated", GONE, "provider_503", False),
        ("status:504", LATE, "provider_504", False),
        ("status:504;availability=temporarily_unavailable", LATE, "provider_504", False),
        ("status:520", GONE, "provider_520", False),
        ("status:524", LATE, "provider_524", False),
        ("status:529", GONE, "provider_529", True),
        ("status:307", GONE, "provider_307", False),
        ("error_200", GONE, "provider_502", True),
        ("error_200;code=401", OWN, "provider_401", False),
        ("error_200;code=403", FILTERED, "provider_403", False),
        ("finish_error", GONE, "provider_502", True),
        ("finish_error;code=429", GONE, "provider_429", True),
        ("no_choices", GONE, "provider_malformed", False),
        ("empty_choices", GONE, "provider_malformed", False),
        ("null_content", GONE, "provider_empty", False),
        ("empty", GONE, "provider_empty", False),
        ("truncated", OWN, "provider_truncated", False),
        ("filtered", FILTERED, "provider_content_filter", False),
        ("refusal", FILTERED, "provider_refused", False),
        ("html", GONE, "provider_malformed", False),
        ("cut", GONE, "provider_cut", False),
    ],
)
async def test_each_trouble_has_one_verdict_and_one_send(
    creator: Creator, fault: str, verdict: tuple[str, str], detail: str, resend: bool
) -> None:
    """The policy table, row by row: code, fault, detail, resend; nothing is sent twice and nothing leaks."""
    await creator.order(f"{fault}*always")
    failure = await creator.fail()
    assert (failure.code, failure.fault) == verdict
    assert (failure.detail, failure.resend) == (detail, resend)
    assert len((await creator.seen())["requests"]) == 1
    assert_bare(failure, creator.key)


async def test_an_image_answer_without_picture_is_empty(creator: Creator) -> None:
    """Text alone is no image."""
    await creator.order("empty")
    prompt = replace(PROMPT, model="google/gemini-2.5-flash-image", modality="image")
    assert (await creator.fail(prompt)).detail == "provider_empty"


async def test_an_unknown_model_and_a_revoked_key_are_the_creators_trouble(creator: Creator) -> None:
    """Both come as real error envelopes, without a fault being ordered."""
    unknown = await creator.fail(replace(PROMPT, model="no/such-model"))
    assert (unknown.fault, unknown.detail) == ("creator", "provider_400")
    await creator.order(revoked=True)
    revoked = await creator.fail()
    assert (revoked.fault, revoked.detail, revoked.resend) == ("creator", "provider_401", False)


async def test_an_answer_beyond_the_bound_is_a_failure(creator: Creator) -> None:
    """`finish_reason` length is a fragment, even with text in it."""
    assert (await creator.fail(replace(PROMPT, max_output_tokens=3))).detail == "provider_truncated"


async def test_the_wait_that_the_provider_asks_for_is_kept(creator: Creator) -> None:
    """Retry-After counts seconds or names a date; availability can carry it instead."""
    await creator.order("status:429;retry_after=7", "status:503;availability=temporarily_unavailable;retry_after=2.5")
    assert (await creator.fail()).retry_after == 7
    assert (await creator.fail()).retry_after == 2.5
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    await creator.order(f"status:503;retry_after={date}")
    wait = (await creator.fail()).retry_after
    assert wait is not None
    assert 80 < wait <= 90


@pytest.mark.parametrize("fault", ["hang", "whitespace:5", "slow:5"])
async def test_the_deadline_holds_against_silence_and_against_keep_alive(creator: Creator, fault: str) -> None:
    """A provider that sends newlines for seconds defeats a read timeout, not the deadline."""
    await creator.order(fault)
    failure = await creator.fail(deadline_seconds=0.3)
    assert (failure.code, failure.detail, failure.resend) == ("generation_timeout", "provider_timeout", False)
    assert len((await creator.seen())["requests"]) == 1
    assert_bare(failure, creator.key)


async def test_a_cancelled_call_stays_cancelled(creator: Creator) -> None:
    """Shutdown is no failure of the provider."""
    await creator.order("hang")
    call = asyncio.create_task(creator.complete())
    await creator.seen(arrived=1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_refused_connection_may_be_tried_again(creator: Creator) -> None:
    """Nothing was sent, so sending is safe; a new base URL gets a client of its own."""
    with environment(INSTANT_OPENROUTER_URL=f"http://127.0.0.1:{servers.free_port()}/api/v1"):
        failure = await creator.fail()
    assert (failure.detail, failure.fault, failure.resend) == ("provider_unreachable", "provider", True)
    assert_bare(failure, creator.key)
    assert (await creator.complete()).response


async def test_variables_of_another_openai_account_do_not_travel(creator: Creator) -> None:
    """OPENAI_* in the environment change neither address, key nor headers."""
    await provider.close()
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
    assert not [name for name in request["headers"] if name.startswith(("openai-", "x-other"))]


async def test_what_cannot_be_sent_is_not_sent(creator: Creator) -> None:
    """A key with a line break, a prompt that is no UTF-8: refused here, without quoting either."""
    broken = Creator(f"{creator.key}\r\nX-Evil: 1", creator.door)
    failure = await broken.fail()
    assert (failure.detail, failure.fault) == ("provider_401", "creator")
    prompt = replace(PROMPT, messages=({"role": "user", "content": f"{SECRET} \ud800"},))
    failure = await creator.fail(prompt)
    assert (failure.code, failure.fault) == ("internal_error", "ours")
    assert_bare(failure, creator.key)
    assert (await creator.seen())["requests"] == []


async def test_a_key_is_checked_without_a_call(creator: Creator) -> None:
    """`GET /key` tells the masked label, what is left of the limit, and whether the key may only manage keys."""
    facts = await provider.check_key(Private(creator.key))
    assert facts == provider.KeyFacts(f"{creator.key[:12]}...{creator.key[-4:]}", None, False)
    await creator.order(credits="12.34567890123", management=True)
    facts = await provider.check_key(Private(creator.key))
    assert (facts.limit_remaining_usd, facts.is_management_key) == (Decimal("12.34567890123"), True)
    await creator.order(revoked=True)
    for key in (creator.key, "sk-or-v1-unknown", "no key at all"):
        with pytest.raises(ExecutionFailed) as caught:
            await provider.check_key(Private(key))
        assert (caught.value.code, caught.value.fault, caught.value.detail) == (
            "resource_unavailable",
            "creator",
            "provider_401",
        )
        assert_bare(caught.value, key)


WORDS = st.sampled_from(
    [
        *("id", "model", "choices", "message", "content", "images", "image_url", "url", "type", "text", "refusal"),
        *("error", "code", "http_status", "metadata", "reasons", "availability", "retryable", "retry_after"),
        *("finish_reason", "usage", "cost", "prompt_tokens", "completion_tokens", "is_byok", "cost_details"),
        *("upstream_inference_cost", "data", "label", "limit_remaining", "is_management_key"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from(["stop", "length", "error", "content_filter", "text", "image_url", "data:image/png;base64,AAAA"])
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6), max_leaves=20
)
ANSWERS = st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({"message": st.dictionaries(WORDS, TREES)}, optional={"error": TREES}))},
    optional={"usage": st.dictionaries(WORDS, SCALARS), "id": SCALARS, "model": SCALARS},
)
BODIES = st.binary() | (TREES | ANSWERS).map(json.dumps).map(str.encode)
MODALITIES = st.sampled_from(["text", "json", "image"])


@given(BODIES, MODALITIES)
def test_any_body_is_a_reply_or_a_failure(body: bytes, modality: Modality) -> None:
    """Whatever comes with status 200 is read into a storable answer or refused with a code of ours."""
    try:
        reply = read_reply(body, modality, None)
    except ExecutionFailed:
        return
    assert reply.response.encode()
    assert reply.cost_usd is None or 0 <= reply.cost_usd <= 200_000


@given(BODIES, st.integers(300, 599), st.text() | st.from_regex(r"\w{3}, \d\d \w{3} \d{4,6} \d\d:\d\d:\d\d [+-]?\w*"))
def test_any_refusal_is_a_failure(body: bytes, status: int, retry_after: str) -> None:
    """Errors of any shape are classified, and never ask for more than a day of patience."""
    failure = read_refusal(status, {"retry-after": retry_after}, body)
    assert failure.detail == f"provider_{status}"
    assert failure.retry_after is None or 0 <= failure.retry_after <= 86_400


@given(BODIES)
def test_any_key_answer_is_facts_or_a_failure(body: bytes) -> None:
    """The same for `GET /key`."""
    try:
        facts = read_key(body)
    except ExecutionFailed:
        return
    assert facts.limit_remaining_usd is None or facts.limit_remaining_usd.is_finite()


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"choices":' * 50_000, "1e999999999999999999999", "9" * 5_000, "\ufeff{}", ": only a comment", ""],
)
def test_hostile_documents_are_malformed(text: str) -> None:
    """Nesting and numbers that make parsers raise other errors than theirs."""
    with pytest.raises(ExecutionFailed, match="provider_malformed"):
        read_reply(text.encode(), "text", None)


def answer_of(message: dict[str, Any], usage: str = "{}") -> bytes:
    document = json.dumps({"choices": [{"finish_reason": "stop", "message": message}]})
    return f'{document[:-1]}, "usage": {usage}}}'.encode()


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ('{"cost": 0.0000000416666666666667}', Decimal("0.0000000416666666666667")),
        ('{"cost": 1.1e-7}', Decimal("0.00000011")),
        ('{"cost": 0}', Decimal(0)),
        ('{"cost": 0.5, "cost_details": {"upstream_inference_cost": 0.5}}', Decimal("0.5")),
        ('{"cost": 0.1, "is_byok": true, "cost_details": {"upstream_inference_cost": 2.0}}', Decimal("2.1")),
        ('{"cost": 0.1, "is_byok": true}', None),
        ('{"cost": -1}', None),
        ('{"cost": NaN}', None),
        ('{"cost": true}', None),
        ('{"cost": "0.1"}', None),
        ('{"cost": 1e-5000}', None),
        ("null", None),
    ],
)
def test_cost_is_exact_or_unknown(usage: str, cost: Decimal | None) -> None:
    """Never rounded, never 0 for unknown, and not counted twice when the upstream's share is repeated."""
    assert read_reply(answer_of({"content": "hello"}, usage), "text", None).cost_usd == cost


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ('{"a": 1', None),
        ('{"a": NaN}', None),
        ("Sure! Here it is.", None),
    ],
)
def test_a_json_answer_is_json(content: str, read: str | None) -> None:
    """A code fence is taken off; anything that does not parse is the provider's failure."""
    if read is None:
        with pytest.raises(ExecutionFailed, match="provider_malformed_json"):
            read_reply(answer_of({"content": content}), "json", None)
    else:
        assert read_reply(answer_of({"content": content}), "json", None).response == read


def test_line_separators_in_an_answer_survive() -> None:
    """U+2028 is a plain character in JSON, and a line end to Python."""
    body = json.dumps({"choices": [{"message": {"content": "a\u2028b\x85c"}}]}, ensure_ascii=False).encode()
    assert read_reply(b"\n \n: keep-alive\n\n" + body, "text", "gen-7").response == "a\u2028b\x85c"
    assert read_reply(body, "text", "gen-7").generation_id == "gen-7"


def test_new_style_errors_without_code_are_read() -> None:
    """Availability errors were documented with `http_status` instead of `code`."""
    failure = read_error({"http_status": 429, "availability": {"retryable": True, "retry_after": 3}}, 502)
    assert (failure.detail, failure.resend, failure.retry_after) == ("provider_429", True, 3)


def assert_bare(failure: ExecutionFailed, key: str) -> None:
    """Neither the exception nor any frame it leads to, ours or the SDK's, holds the key, the prompt or foreign text."""
    assert failure.__cause__ is None
    assert failure.__context__ is None
    for line in (str(failure), repr(failure), *locals_of(failure.__traceback__)):
        assert key not in line
        assert SECRET not in line
    copy = pickle.loads(pickle.dumps(failure))  # noqa: S301 - our own bytes, made on this line
    assert (copy.code, copy.fault, copy.detail) == (failure.code, failure.fault, failure.detail)


def locals_of(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        if "/tests/" not in traceback.tb_frame.f_code.co_filename:
            yield repr(traceback.tb_frame.f_locals)
        traceback = traceback.tb_next
