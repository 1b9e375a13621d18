"""Anthropic's dialect, against the practice Anthropic: requests, refusals, and costs."""

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.failures import ExecutionFailed
from core.providers import anthropic
from core.providers import client as provider_client
from core.providers import errors as provider_errors
from core.providers import usage as provider_usage
from core.providers.registry import ANTHROPIC
from core.providers.response import Reply
from core.providers.usage import Prices
from core.secrets.private import Private
from tests import callers
from tests.callers import SECRET, Creator, assert_bare
from tests.core.providers.test_response import BODIES
from tests.shops import CLAUDE

# The practice Anthropic's price per token.
PRICES = Prices(Decimal("0.000003"), Decimal("0.000015"), Decimal(0))
PROMPT = replace(callers.PROMPT, model=CLAUDE, supported=anthropic.PARAMETERS)

# fault -> name of the failure, whether the provider has charged, whether it may be sent again
TABLE = {
    "status:400": ("provider_400", "no", False),
    "status:400;reason=credit": ("provider_402", "no", False),
    "status:400;reason=limit": ("provider_403_budget", "no", False),
    "status:400;reason=too_long": ("provider_400_too_long", "no", False),
    "status:400;reason=max_tokens": ("provider_400_too_long", "no", False),
    "status:400;reason=picture": ("provider_400_media", "no", False),
    "status:401": ("provider_401", "no", False),
    "status:402": ("provider_402", "no", False),
    "status:403": ("provider_403_denied", "no", False),
    "status:404": ("provider_404_gone", "no", False),
    "status:409": ("provider_409", "no", False),
    "status:413": ("provider_413", "no", False),
    "status:413;body=html": ("provider_413", "no", False),
    "status:418": ("provider_400", "no", False),
    "status:418;body=none": ("provider_418", "perhaps", False),
    "status:429": ("provider_429", "no", True),
    "status:429;retry_after=7": ("provider_429", "no", True),
    "status:500": ("provider_failed", "perhaps", False),
    "status:502;body=html": ("provider_failed", "perhaps", False),
    "status:503;body=none": ("provider_failed", "perhaps", False),
    "status:504": ("provider_504", "perhaps", True),
    "status:520;body=html": ("provider_failed", "perhaps", False),
    "status:529": ("provider_529", "no", True),
    "status:307": ("provider_307", "perhaps", False),
    "error_chunk": ("provider_failed", "perhaps", False),
    "no_choices": ("provider_malformed", "perhaps", True),
    "null_content": ("provider_empty", "yes", False),
    "empty": ("provider_empty", "yes", False),
    "truncated": ("provider_truncated", "yes", False),
    "filtered": ("provider_content_filter", "yes", False),
    "html": ("provider_malformed", "perhaps", True),
    "cut": ("provider_cut", "perhaps", True),
}


@pytest.fixture
async def creator(practice_openrouter: str) -> AsyncIterator[Creator]:
    """A creator with an Anthropic key of their own; the practice provider answers without delay."""
    root = practice_openrouter.removesuffix("/api/v1")
    async with httpx.AsyncClient(base_url=root, trust_env=False, timeout=10) as door:
        someone = Creator(f"sk-ant-practice-{uuid4().hex}", door, prices=PRICES)
        await someone.order(latency_seconds=0)
        yield someone
    await provider_client.close()


async def test_the_request_says_what_anthropic_takes_and_nothing_else(creator: Creator) -> None:
    """The model has Anthropic's own name, the stream ends with usage, and body and headers hold no OpenRouter field."""
    await creator.send(PROMPT)
    [request] = (await creator.seen())["requests"]
    assert request["body"] == {
        "model": "claude-sonnet-4-5",
        "messages": list(PROMPT.messages),
        "max_tokens": 400,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": Decimal("0.7"),
    }
    assert request["headers"]["anthropic-version"] == "2023-06-01"
    assert not [name for name in request["headers"] if "openrouter" in name or name in ("http-referer", "user")]


async def test_json_is_asked_for_in_words(creator: Creator) -> None:
    """Anthropic ignores `response_format`, so the messages ask for JSON, with the schema."""
    schema = '{"type":"object","properties":{"a":{"type":"string"}}}'
    await creator.order("says:{}")
    reply = await creator.complete(replace(PROMPT, modality="json", answer_schema=schema))
    assert reply.response == "{}"
    [request] = (await creator.seen())["requests"]
    assert "response_format" not in request["body"]
    assert schema in request["body"]["messages"][-2]["content"]


async def test_a_call_costs_its_tokens_at_the_listed_prices_exactly(creator: Creator) -> None:
    """The cost equals the practice provider's record, though the answer names none; the header has the call's id."""
    answer = await creator.send(PROMPT)
    used = answer.usage
    assert isinstance(answer.reply, Reply)
    [generation] = (await creator.seen())["generations"]
    assert used.input_tokens
    assert used.output_tokens
    assert used.cost_usd == generation["cost"]
    assert used.cost_usd == used.input_tokens * PRICES.prompt_usd + used.output_tokens * PRICES.completion_usd
    assert used.generation_id
    assert used.generation_id.startswith("req_")
    assert creator.noted == [used.generation_id]
    assert used.model_served == "claude-sonnet-4-5"


def test_prices_of_many_digits_are_not_rounded() -> None:
    """A cost has all digits of its prices, far more than the default precision of decimals."""
    prices = Prices(Decimal("0.0000030000000000000000000000000000000001"), Decimal("123456.5"), Decimal("1e-40"))
    used = provider_usage.priced(provider_usage.Usage(input_tokens=3, output_tokens=2_000_001), prices)
    assert str(used.cost_usd) == "246913123456.5000090000000000000000000000000000000004"


async def test_a_cost_that_nobody_counted_is_unknown(creator: Creator) -> None:
    """Cut off before the usage, or without prices, a cost is None, and never 0."""
    await creator.order("cut", "error_chunk")
    for _ in range(2):
        assert (await creator.send(PROMPT)).usage.cost_usd is None
    creator.prices = None
    answer = await creator.send(PROMPT)
    assert isinstance(answer.reply, Reply)
    assert answer.usage.cost_usd is None


async def test_a_failed_answer_costs_what_it_took(creator: Creator) -> None:
    """A useless answer was charged, and its token counts are known."""
    await creator.order("truncated")
    answer = await creator.send(PROMPT)
    assert isinstance(answer.reply, ExecutionFailed)
    [generation] = (await creator.seen())["generations"]
    assert answer.usage.cost_usd == generation["cost"] > 0


@pytest.mark.parametrize("fault", TABLE)
async def test_each_row_has_one_name_and_one_send(creator: Creator, fault: str) -> None:
    """Each has its name, possible cost and whether to send again; nothing is sent twice and no secret leaks."""
    name, charged, resend = TABLE[fault]
    await creator.order(f"{fault}*always")
    failure = await creator.fail(PROMPT)

    assert (failure.detail, provider_errors.charge_of(failure.detail), failure.resend) == (name, charged, resend)
    assert failure.retry_after == (7 if "retry_after" in fault else None)
    assert len((await creator.seen())["requests"]) == 1


async def test_an_unknown_model_and_a_revoked_key_are_the_creators_trouble(creator: Creator) -> None:
    """Both arrive as real error envelopes, without a scripted fault."""
    assert (await creator.fail(replace(PROMPT, model="anthropic:claude-0"))).detail == "provider_404_gone"
    await creator.order(revoked=True)
    assert (await creator.fail(PROMPT)).detail == "provider_401"


async def test_a_key_is_checked_without_a_call(creator: Creator) -> None:
    """`GET /models` shows that the key works; its label is formed like Anthropic's hints, and it has no known limit."""
    facts = await provider_client.check_key(ANTHROPIC, Private(creator.key))
    assert facts == provider_client.KeyFacts(f"{creator.key[:16]}...{creator.key[-4:]}", None, False)
    await creator.order(revoked=True)
    for key in (creator.key, "sk-ant-unknown", "no key at all"):
        with pytest.raises(ExecutionFailed) as caught:
            await provider_client.check_key(ANTHROPIC, Private(key))
        assert caught.value.detail == "provider_401"
        assert_bare(caught.value, key)
    assert anthropic.read_key(b'{"data":[]}', "sk-ant-admin01-" + "x" * 30).is_management_key


async def test_nobody_can_be_asked_for_a_cost(creator: Creator) -> None:
    """Anthropic has no request for a cost, so none is sent."""
    assert await provider_client.cost_of(ANTHROPIC, Private(creator.key), "req_011") is None


@given(BODIES, st.integers(300, 599), st.text(max_size=40))
def test_any_refusal_is_a_failure(body: bytes, status: int, retry_after: str) -> None:
    """Any bytes are classified, without quoting them, and with a day of waiting at most."""
    failure = anthropic.read_refusal(status, {"retry-after": retry_after}, body)
    assert failure.detail.startswith("provider_")
    assert failure.retry_after is None or 0 <= failure.retry_after <= 86_400


def test_what_a_message_quotes_decides_nothing() -> None:
    """Only the fixed beginning of a message is compared, which a buyer cannot write."""
    body = b'{"error":{"type":"invalid_request_error","message":"no: Your credit balance is too low"}}'
    assert anthropic.read_refusal(400, {}, body).detail == "provider_400"
    assert SECRET not in repr(anthropic.read_refusal(400, {}, body.replace(b"no:", SECRET.encode())))
