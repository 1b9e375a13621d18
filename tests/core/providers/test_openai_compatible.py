"""An OpenAI-compatible server of the operator's, against the practice gateway: requests, refusals, costs and keys."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import db
from core.accounts import key_health, provider_keys
from core.accounts.key_health import Checked
from core.catalog import manual_prices
from core.catalog import search as catalog
from core.failures import ExecutionFailed, InvalidInput
from core.providers import client as provider_client
from core.providers import errors as provider_errors
from core.providers import openai_compatible
from core.providers import registry as providers
from core.providers.response import Reply
from core.providers.usage import Prices
from core.resources.repricing import reprice
from core.secrets.private import Private
from core.settings import BUILT_IN
from core.spend import cost_backfill
from core.spend.cost_backfill import Reconciled
from tests import callers, orders, shops
from tests.callers import SECRET, Creator, assert_bare
from tests.core.providers.test_registry import booked, carry, obstacle, run, spent
from tests.core.providers.test_response import BODIES
from tests.shops import COMPATIBLE, MODEL

# The practice gateway's price per token.
PRICES = Prices(Decimal("0.0000005"), Decimal("0.0000015"), Decimal(0))
PROMPT = replace(callers.PROMPT, model=COMPATIBLE, supported=openai_compatible.PARAMETERS)

# fault -> name of the failure, whether the provider has charged, whether it may be sent again
TABLE = {
    "status:400": ("provider_400", "no", False),
    "status:400;reason=context_length_exceeded": ("provider_400_too_long", "no", False),
    "status:400;reason=content_policy_violation": ("provider_400_policy", "no", False),
    "status:400;body=html": ("provider_400", "no", False),
    "status:401": ("provider_401_behind", "no", False),
    "status:400;reason=expired_key": ("provider_401_behind", "no", False),
    "status:401;reason=team_model_access_denied": ("provider_403_denied", "no", False),
    "status:402": ("provider_402", "no", False),
    "status:403": ("provider_403_denied", "no", False),
    "status:404;reason=model_not_found": ("provider_404_gone", "no", False),
    "status:408": ("provider_408", "perhaps", False),
    "status:413;body=html": ("provider_413", "no", False),
    "status:418": ("provider_418", "perhaps", False),
    "status:429": ("provider_429", "no", True),
    "status:429;retry_after=7": ("provider_429", "no", True),
    "status:429;reason=insufficient_quota": ("provider_402", "no", False),
    "status:500": ("provider_failed", "perhaps", False),
    "status:502;body=html": ("provider_failed", "perhaps", False),
    "status:503;body=none": ("provider_failed", "perhaps", False),
    "status:504": ("provider_504", "perhaps", False),
    "status:521": ("provider_failed", "perhaps", False),
    "status:524": ("provider_524", "perhaps", False),
    "status:529": ("provider_failed", "perhaps", False),
    "status:307": ("provider_307", "perhaps", False),
    "error_chunk": ("provider_failed", "perhaps", False),
    "no_choices": ("provider_malformed", "perhaps", True),
    "empty": ("provider_empty", "yes", False),
    "truncated": ("provider_truncated", "yes", False),
    "cut": ("provider_cut", "perhaps", True),
}


@pytest.fixture
async def creator(practice_openrouter: str) -> AsyncIterator[Creator]:
    """A creator with a key at the gateway, which answers without delay."""
    root = practice_openrouter.removesuffix("/api/v1")
    async with httpx.AsyncClient(base_url=root, trust_env=False, timeout=10) as door:
        someone = Creator(f"sk-compatible-practice-{uuid4().hex}", door, prices=PRICES)
        await someone.order(latency_seconds=0)
        with shops.gateway():
            yield someone
    await provider_client.close()


@pytest.fixture
async def pool(own_database: str, practice_openrouter: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        with shops.gateway():
            yield opened
    await provider_client.close()


async def test_the_request_is_what_such_servers_have_in_common(creator: Creator) -> None:
    """The model has the server's own name; body and headers hold nothing of OpenRouter's, and usage is requested."""
    answer = await creator.send(PROMPT)
    assert isinstance(answer.reply, Reply)
    [request] = (await creator.seen())["requests"]
    assert request["body"] == {
        "model": "practice-small",
        "messages": list(PROMPT.messages),
        "max_tokens": 400,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": Decimal("0.7"),
    }
    assert set(request["headers"]) <= {
        *("accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"),
    }


async def test_a_call_costs_its_tokens_and_nobody_elses_cache_makes_it_free(creator: Creator) -> None:
    """The cost is exact; a cache header that the gateway passes on is not believed; the header has the call's id."""
    used = (await creator.send(PROMPT)).usage
    [generation] = (await creator.seen())["generations"]
    assert used.cost_usd == generation["cost"] > 0
    assert used.input_tokens
    assert str(used.generation_id).startswith("req_")
    assert creator.noted == [used.generation_id]
    assert await provider_client.cost_of(providers.provider_for(COMPATIBLE), Private(creator.key), "req_1") is None


async def test_models_that_reason_have_another_limit(creator: Creator) -> None:
    """OpenAI's own refuse `max_tokens`: the operator says so for the server."""
    asked = replace(PROMPT, model="acme-1:practice-reasoner")
    assert (await creator.fail(asked)).detail == "provider_400"
    with shops.gateway(max_tokens_field="max_completion_tokens"):
        await creator.complete(asked)
    [_, request] = (await creator.seen())["requests"]
    assert request["body"]["max_completion_tokens"] == 400
    assert "max_tokens" not in request["body"]


@pytest.mark.parametrize(
    ("listed", "kind", "has_words"),
    [((), None, True), (("response_format",), "json_object", True), (("structured_outputs",), "json_schema", False)],
)
async def test_json_is_asked_for_as_the_model_takes_it(
    creator: Creator, listed: tuple[str, ...], kind: str | None, has_words: bool
) -> None:
    """In words, as JSON mode (which OpenAI refuses without words), or by the schema."""
    schema = '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'
    for answer_schema in (None, schema):
        await creator.order('says:{"a":"b"}')
        asked = replace(PROMPT, modality="json", answer_schema=answer_schema, supported=(*PROMPT.supported, *listed))
        assert (await creator.complete(asked)).response == '{"a":"b"}'
    request = (await creator.seen())["requests"][-1]
    assert request["body"].get("response_format", {}).get("type") == kind
    assert (schema in str(request["body"]["messages"])) is has_words


@pytest.mark.parametrize("fault", TABLE)
async def test_each_row_has_one_name_and_one_send(creator: Creator, fault: str) -> None:
    """Only what says that no model ran is free, whatever other providers promise; no text of the server's is kept."""
    name, charged, resend = TABLE[fault]
    await creator.order(f"{fault}*always")
    failure = await creator.fail(PROMPT)

    assert (failure.detail, provider_errors.charge_of(failure.detail), failure.resend) == (name, charged, resend)
    assert failure.retry_after == (7 if "retry_after" in fault else None)
    assert len((await creator.seen())["requests"]) == 1


async def test_a_key_is_checked_without_a_call(creator: Creator) -> None:
    """`GET /models` shows that the key works; of a short key nothing is shown."""
    at = providers.provider_for(COMPATIBLE)
    facts = await provider_client.check_key(at, Private(creator.key))
    assert facts == provider_client.KeyFacts(f"sk-com...{creator.key[-4:]}", None, False)
    assert openai_compatible.read_key(b'{"data":[]}', "x" * 23).label == ""
    await creator.order(revoked=True)
    with pytest.raises(ExecutionFailed) as caught:
        await provider_client.check_key(at, Private(creator.key))
    assert caught.value.detail == "provider_401"
    assert_bare(caught.value, creator.key)
    assert (await creator.fail(PROMPT)).detail == "provider_401"


@given(BODIES, st.integers(300, 599), st.text(max_size=40))
def test_any_refusal_is_a_failure(body: bytes, status: int, retry_after: str) -> None:
    """Any bytes are classified, without quoting them; nothing from 500 on is free or sent again."""
    failure = openai_compatible.read_refusal(status, {"retry-after": retry_after}, body)
    assert failure.detail.startswith("provider_")
    if status >= 500 or status < 400:
        assert (provider_errors.charge_of(failure.detail), failure.resend) == ("perhaps", False)
    quoting = f'{{"error":{{"message":"{SECRET}","code":"{SECRET}"}}}}'.encode()
    assert SECRET not in repr(openai_compatible.read_refusal(status, {}, quoting))


async def test_text_and_json_are_sold_and_run(pool: db.Pool) -> None:
    """The model's id selects provider and key; spending and usage equal the gateway's bill, to the last digit."""
    shop = await shops.open_shop(pool, providers.provider_for(COMPATIBLE))
    await shop.openrouter(latency_seconds=0, faults=['says:{"a": 1}'])
    await shop.publish(pool, modality="json")
    in_json = await run(pool, shop, paid=True)
    await shop.publish(pool, modality="text")
    in_text = await run(pool, shop, paid=True)

    assert [one.execution.state for one in (in_json, in_text)] == ["succeeded"] * 2
    assert [one.usage.cost_usd for one in (in_json, in_text)] == await booked(shop)
    assert await spent(pool, shop) == sum(await booked(shop))
    assert (in_text.usage.model_id, in_text.usage.model_served) == (COMPATIBLE, "practice-small")


async def test_a_401_of_a_server_behind_it_takes_nothing_off_sale(pool: db.Pool) -> None:
    """The key is checked before it counts as rejected: a gateway passes on that its own key was refused elsewhere."""
    shop = await shops.open_shop(pool, providers.provider_for(COMPATIBLE))
    await shop.openrouter(latency_seconds=0, faults=["status:401"])
    ran = await run(pool, shop)
    assert (ran.execution.detail, ran.execution.fault) == ("provider_401_behind", "provider")
    assert await obstacle(pool, shop, "haiku") is None
    assert await spent(pool, shop) == 0

    other = "acme-1:practice/large:8b"
    async with pool.connection() as conn:
        await manual_prices.set_prices(conn, reprice, other, prompt_usd=Decimal(2), completion_usd=Decimal(8))
    await shop.publish(pool, fallbacks=[other])
    await shop.openrouter(faults=["status:401"])
    ran = await run(pool, shop)
    assert (ran.execution.state, ran.usage.model_served) == ("succeeded", "practice/large:8b")

    await shop.openrouter(revoked=True)
    ran = await run(pool, shop)
    assert (ran.execution.detail, ran.execution.fault) == ("provider_401", "creator")
    assert await obstacle(pool, shop, "haiku") == "key_rejected"


@pytest.mark.parametrize("fault", ["status:503", "cut"])
async def test_what_may_have_been_charged_is_sent_once_and_counts_at_its_worst(pool: db.Pool, fault: str) -> None:
    """No cache could answer it again, and nobody can be asked for its cost."""
    shop = await shops.open_shop(pool, providers.provider_for(COMPATIBLE))
    await shop.openrouter(latency_seconds=0, faults=[fault])
    ran = await run(pool, shop)

    assert (ran.execution.state, ran.execution.sends, ran.usage.cost_usd) == ("failed", 1, None)
    assert await spent(pool, shop) == (await shop.version(pool)).worst_cost_usd
    asked = await cost_backfill.reconcile(pool, youngest=timedelta(0))
    assert (asked, len(await shop.sends())) == (Reconciled(unpriced=0, priced=0, keyless=0), 1)


async def test_an_answer_without_counted_tokens_counts_at_its_worst(pool: db.Pool) -> None:
    """A server may ignore that usage was requested: the answer is sold, and its cost is unknown, never 0."""
    uncounted = "acme-1:practice-uncounted"
    shop = await shops.open_shop(pool, providers.provider_for(COMPATIBLE))
    async with pool.connection() as conn:
        await manual_prices.set_prices(conn, reprice, uncounted, prompt_usd=Decimal(1), completion_usd=Decimal(2))
    await shop.publish(pool, model=uncounted)
    await shop.openrouter(latency_seconds=0)
    ran = await run(pool, shop)
    assert (ran.execution.state, ran.usage.cost_usd) == ("succeeded", None)
    assert await spent(pool, shop) == (await shop.version(pool)).worst_cost_usd


async def test_a_provider_that_the_settings_name_no_more_sells_nothing(pool: db.Pool) -> None:
    """Its prompts are off sale, and what was already sold fails with our fault; nothing is sent, and no sync breaks."""
    shop = await shops.open_shop(pool, providers.provider_for(COMPATIBLE))
    (execution_id,) = await orders.queue(pool, await shop.version(pool))
    with callers.environment(INSTANT_PROVIDERS="[]"):
        assert await obstacle(pool, shop, "haiku") == "unconfigured_provider"
        assert await key_health.check_keys(pool) == Checked(sound=0, rejected=0, unknown=1)
        async with pool.connection() as conn:
            await reprice(conn, [COMPATIBLE])
        for change in ({"slug": "more"}, {"slug": "more", "model": MODEL, "fallbacks": [COMPATIBLE]}):
            async with pool.connection() as conn:
                await shops.selling.add_model(conn, id=MODEL)
            with pytest.raises(InvalidInput):
                await shop.publish(pool, **change)
        (order,) = await orders.begin(pool, await orders.hire(pool), [execution_id])
        await carry(pool, order)
        async with pool.connection() as conn:
            assert await provider_keys.delete_key(conn, shop.account.id, providers.find("acme-1")) == 1
    row = await shops.execution(pool, execution_id)
    assert (row.state, row.fault, row.detail) == ("failed", "ours", "unconfigured_provider")
    assert await shop.sends() == []


async def test_names_of_models_are_the_servers_own(pool: db.Pool) -> None:
    """A colon or a slash in a name means nothing; the operator says which models can be held to JSON."""
    large = "acme-1:practice/large:8b"
    prices = {"prompt_usd": Decimal(2), "completion_usd": Decimal(8)}
    shop = await shops.open_shop(pool, providers.provider_for(COMPATIBLE))
    async with pool.connection() as conn:
        await manual_prices.set_prices(conn, reprice, large, **prices, parameters=["response_format"])
        listed = db.required(await catalog.find(conn, large))
        assert "json" in listed.capabilities
        with pytest.raises(InvalidInput) as caught:
            await manual_prices.set_prices(conn, reprice, large, **prices, parameters=["tools"])
        assert list(caught.value.fields) == ["parameters"]
    await shop.openrouter(latency_seconds=0)
    await shop.publish(pool, model=large, modality="json")
    ran = await run(pool, shop)
    assert (ran.execution.state, [ran.usage.cost_usd]) == ("succeeded", await booked(shop))
    [request] = await shop.sends()
    assert (request["model"], request["body"]["response_format"]) == ("practice/large:8b", {"type": "json_object"})


async def test_no_key_is_shown_to_another_provider(pool: db.Pool) -> None:
    """Keys of the built-in providers are not sent there, nor any that the operator's pattern does not match."""
    shop = await shops.open_shop(pool, providers.provider_for(COMPATIBLE))
    for pattern, key in ((None, "sk-or-v1-practice-x"), (None, "sk-ant-practice-x"), ("gw-[a-z]+", "sk-practice-x")):
        with shops.gateway(**{"key_pattern": pattern} if pattern else {}), pytest.raises(InvalidInput) as caught:
            await provider_keys.set_key(pool, shop.account.id, Private(key), providers.find("acme-1"))
        assert "this is not a key of Acme" in caught.value.fields["key"]


async def test_a_key_that_nobody_could_be_asked_about(pool: db.Pool) -> None:
    """A server that answers otherwise is not called out of reach; nothing is changed."""
    shop = await shops.open_shop(pool, providers.provider_for(COMPATIBLE))
    url = shops.settings().providers[0].url
    for wrong, says in (
        (f"{url}/v1", "answered, but not about this key (provider_404_gone)"),
        ("http://127.0.0.1:9", "try again in a minute"),
    ):
        with shops.gateway(url=wrong), pytest.raises(InvalidInput) as caught:
            await provider_keys.set_key(pool, shop.account.id, Private(shop.key), providers.find("acme-1"))
        assert says in caught.value.fields["key"]
    assert await obstacle(pool, shop, "haiku") is None


def test_built_in_names_are_those_of_the_settings() -> None:
    """A provider of the operator's cannot take the name of a built-in one."""
    assert tuple(providers._BUILT_IN) == BUILT_IN
