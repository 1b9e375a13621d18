"""Several providers: the key of each call, what can be sold, and the fate of lost calls."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from core import db
from core.accounts import accounts, key_health, provider_keys
from core.accounts.key_health import Checked
from core.catalog import manual_prices
from core.executions import steps
from core.failures import ExecutionFailed, InvalidInput, Unavailable
from core.providers import client as provider_client
from core.providers import model_ids
from core.providers import registry as providers
from core.providers.registry import ANTHROPIC, OPENROUTER
from core.resources import draft as drafts
from core.resources import publishing, readiness
from core.resources.repricing import reprice
from core.secrets.private import Private
from core.settings import settings
from core.spend import cost_backfill, usage_log
from core.spend.cost_backfill import Reconciled
from tests import callers, orders, selling, shops
from tests.shops import CLAUDE, MODEL, Shop

pytestmark = pytest.mark.usefixtures("practice_openrouter")


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened
    await provider_client.close()


@dataclass
class Ran:
    """The result of a sale, or of an owner's test, that has ended."""

    execution: Any
    usage: Any


async def run(pool: db.Pool, shop: Shop, *, paid: bool = False) -> Ran:
    """Do what the flow does, without Prefect: send once more where that is allowed."""
    sold, worker = await shop.version(pool), await orders.hire(pool)
    execution_id = await orders.pay(pool, sold, worker) if paid else (await orders.queue(pool, sold))[0]
    (order,) = await orders.begin(pool, worker, [execution_id])
    await carry(pool, order)
    async with pool.connection() as conn:
        await usage_log.append(conn, [execution_id])
    (logged,) = await shops.rows(pool, "SELECT * FROM usage_log WHERE execution_id = %(id)s", id=execution_id)
    return Ran(await shops.execution(pool, execution_id), logged)


async def carry(pool: db.Pool, order: steps.Order) -> None:
    async with pool.connection() as conn:
        prepared = await steps.substitute(conn, await steps.decrypt(conn, [order]))
    for one in prepared:
        is_over = False
        while not is_over:
            try:
                await steps.call(pool, one)
            except ExecutionFailed as failure:
                is_over = not failure.resend
            else:
                is_over = True


async def spent(pool: db.Pool, shop: Shop) -> Decimal:
    query = "SELECT spent_usd FROM spend_days WHERE account_id = %(id)s"
    ((spent_usd,),) = await shops.rows(pool, query, id=shop.account.id)
    return Decimal(spent_usd)


async def booked(shop: Shop) -> list[Decimal]:
    """The practice provider's charge for each generation."""
    async with httpx.AsyncClient() as http:
        seen = await http.get(shops._practice_key(shop.key))
    return [Decimal(str(made["cost"])) for made in seen.json()["generations"]]


async def test_a_claude_prompt_is_sold_and_run_on_an_anthropic_key(pool: db.Pool) -> None:
    """The model's id selects provider and key; spending and usage equal the provider's bill, to the last digit."""
    shop = await shops.open_shop(pool, ANTHROPIC)
    await shop.openrouter(latency_seconds=0)
    ran = await run(pool, shop)

    assert ran.execution.state == "succeeded"
    [cost] = await booked(shop)
    assert (ran.usage.cost_usd, ran.usage.model_id, ran.usage.model_served) == (cost, CLAUDE, "claude-sonnet-4-5")
    assert cost == (ran.usage.input_tokens * 3 + ran.usage.output_tokens * 15) * Decimal("0.000001")
    assert await spent(pool, shop) == cost
    assert ran.usage.generation_id.startswith("req_")
    [request] = await shop.sends()
    assert request["model"] == "claude-sonnet-4-5"


async def test_a_fallback_is_billed_at_its_own_price(pool: db.Pool) -> None:
    """A provider that reports no cost: what the answer cost follows from the prices of the model that gave it."""
    shop = await shops.open_shop(pool, ANTHROPIC)
    haiku = "anthropic:claude-haiku-4-5"
    async with pool.connection() as conn:
        prices = {"prompt_usd": Decimal(1), "completion_usd": Decimal(5)}
        await manual_prices.set_prices(
            conn, reprice, haiku, **prices, context_length=200_000, max_completion_tokens=64_000
        )
    await shop.publish(pool, fallbacks=[haiku])
    await shop.openrouter(latency_seconds=0, faults=["status:529"])
    ran = await run(pool, shop)

    assert ran.usage.model_served == "claude-haiku-4-5"
    assert [ran.usage.cost_usd] == await booked(shop)


@pytest.mark.parametrize("fault", ["status:504", "status:500", "cut", "error_chunk", "html"])
async def test_what_may_have_been_charged_is_sent_once_and_counts_at_its_worst(pool: db.Pool, fault: str) -> None:
    """No cache could answer it again, and the provider has no request for its cost."""
    shop = await shops.open_shop(pool, ANTHROPIC)
    await shop.openrouter(latency_seconds=0, faults=[fault])
    ran = await run(pool, shop)
    worst = (await shop.version(pool)).worst_cost_usd

    assert (ran.execution.state, ran.execution.sends, ran.usage.cost_usd) == ("failed", 1, None)
    assert await spent(pool, shop) == worst
    asked = await cost_backfill.reconcile(pool, youngest=timedelta(0))
    assert asked == Reconciled(unpriced=0, priced=0, keyless=0)
    assert (len(await shop.sends()), await spent(pool, shop)) == (1, worst)


@pytest.mark.parametrize("fault", ["status:529", "status:429"])
async def test_what_was_not_begun_is_sent_again(pool: db.Pool, fault: str) -> None:
    """Overload and rate limits come before any work, and cost nothing."""
    shop = await shops.open_shop(pool, ANTHROPIC)
    await shop.openrouter(latency_seconds=0, faults=[fault])
    ran = await run(pool, shop)

    assert (ran.execution.state, ran.execution.sends) == ("succeeded", 2)
    assert [ran.usage.cost_usd] == await booked(shop)


async def test_after_a_crash_what_left_is_not_sent_again(pool: db.Pool) -> None:
    """A taken-over call that was under way fails: the fault is ours, and the buyer may re-run it."""
    shop = await shops.open_shop(pool, ANTHROPIC)
    await shop.openrouter(faults=["hang"])
    (execution_id,) = await orders.queue(pool, await shop.version(pool))
    killed = await orders.hire(pool)
    (order,) = await orders.begin(pool, killed, [execution_id])
    under_way = asyncio.create_task(carry(pool, order))
    await shop.sends(arrived=1)
    under_way.cancel()
    await asyncio.wait({under_way})
    await orders.bury(pool, killed)
    heir = await orders.hire(pool)
    await orders.recover(pool, heir)
    (again,) = await orders.begin(pool, heir, [execution_id])
    await carry(pool, again)

    row = await shops.execution(pool, execution_id)
    assert (row.state, row.fault, row.detail, row.sends) == ("failed", "ours", "interrupted", 1)
    assert len(await shop.sends()) == 1


async def test_each_model_is_called_on_the_key_of_its_own_provider(pool: db.Pool) -> None:
    """A creator with both keys sells on both; a missing or rejected key stops only what is called on it."""
    shop = await shops.open_shop(pool, ANTHROPIC)
    other = f"sk-or-v1-practice-{shop.account.handle}"
    async with pool.connection() as conn:
        await selling.add_model(conn, id=MODEL)
    await shop.publish(pool, slug="other", model=MODEL)

    assert await obstacle(pool, shop, "haiku") is None
    assert await obstacle(pool, shop, "other") == "key_missing"
    await provider_keys.set_key(pool, shop.account.id, Private(other))
    assert await obstacle(pool, shop, "other") is None
    async with pool.connection() as conn:
        assert (await readiness.open_key(conn, shop.account.id, ANTHROPIC)).reveal() == shop.key
        assert (await readiness.open_key(conn, shop.account.id, OPENROUTER)).reveal() == other
        (row,) = [one for one in await accounts.listing(conn) if one.handle == shop.account.handle]
    assert [key["provider"] for key in row.keys] == ["openrouter", "anthropic"]

    await shop.openrouter(revoked=True)
    assert await key_health.check_keys(pool) == Checked(sound=1, rejected=1, unknown=0)
    assert await obstacle(pool, shop, "haiku") == "key_rejected"
    assert await obstacle(pool, shop, "other") is None
    async with pool.connection() as conn:
        assert await provider_keys.delete_key(conn, shop.account.id) == 1
    assert await obstacle(pool, shop, "other") == "key_missing"


async def test_a_key_that_is_refused_in_a_call_is_not_sold_on(pool: db.Pool) -> None:
    """A 401 rejects the key at its provider; after a new key the prompt sells again."""
    shop = await shops.open_shop(pool, ANTHROPIC)
    await shop.openrouter(latency_seconds=0, faults=["status:401"])
    assert (await run(pool, shop)).execution.detail == "provider_401"
    assert await obstacle(pool, shop, "haiku") == "key_rejected"
    await provider_keys.set_key(pool, shop.account.id, Private(shop.key), ANTHROPIC)
    assert await obstacle(pool, shop, "haiku") is None


async def obstacle(pool: db.Pool, shop: Shop, slug: str) -> str | None:
    """The reason why a prompt cannot be sold."""
    async with pool.connection() as conn:
        _, state = await readiness.on_sale(conn, shop.account.handle, slug)
    return state.code if isinstance(state, Unavailable) else None


async def test_no_key_is_shown_to_another_provider(pool: db.Pool) -> None:
    """A key's form shows its provider, before any request; the error says when Anthropic itself refuses a key.

    Where a practice server refused it, nobody is sent to make a real one.
    """
    shop = await shops.open_shop(pool)
    for key, at in (
        (shop.key, ANTHROPIC),
        ("sk-ant-practice-" + "x" * 30, OPENROUTER),
        ("sk-ant-short", ANTHROPIC),
    ):
        with pytest.raises(InvalidInput) as caught:
            await provider_keys.set_key(pool, shop.account.id, Private(key), at)
        assert caught.value.fields == {"key": f"this is not a key of {at.title}; one looks like {at.key_example}"}
    said = {}
    urls = {"INSTANT_ANTHROPIC_URL": settings().anthropic_url, "INSTANT_OPENROUTER_URL": settings().openrouter_url}
    nowhere = {"facilitator_url": "http://127.0.0.1:9", "rpc_url": "http://127.0.0.1:9"}
    live = {"INSTANT_MODE": "live", "INSTANT_NETWORKS": json.dumps([{"id": "eip155:84532"} | nowhere])}
    for mode, variables in (("sandbox", {}), ("live", live | urls)):
        with callers.environment(**variables), pytest.raises(InvalidInput) as caught:
            await provider_keys.set_key(pool, shop.account.id, Private("sk-ant-unknown-" + "y" * 30), ANTHROPIC)
        said[mode] = caught.value.fields["key"]
        assert "Anthropic does not accept this key" in said[mode]
    assert ANTHROPIC.practice_key in said["sandbox"]
    assert ANTHROPIC.keys_url not in said["sandbox"]
    assert ANTHROPIC.keys_url in said["live"]
    with pytest.raises(InvalidInput):
        providers.provider_named("openai")


async def test_what_a_provider_cannot_do_is_not_published(pool: db.Pool) -> None:
    """A temperature that would silently be capped, and privacy that cannot be requested per call, are refused."""
    shop = await shops.open_shop(pool, ANTHROPIC)
    for changes, field in (({"temperature": "1.1"}, "temperature"), ({"zdr": True}, "zdr")):
        with pytest.raises(InvalidInput) as caught:
            await shop.publish(pool, **changes)
        assert list(caught.value.fields) == [field]
        async with pool.connection() as conn:
            content = drafts.read(selling.content(**{"model": MODEL, "slug": "elsewhere"} | changes))
            await selling.add_model(conn, id=MODEL)
            assert (await publishing.publish(conn, shop.account.id, content)).is_new
            await conn.rollback()
    assert (await shop.publish(pool, temperature="1")).is_new


async def test_the_database_reads_ids_as_we_do(conn: db.Connection) -> None:
    """The columns `served_by` and `provider` agree with Python for every form of id."""
    ids = [CLAUDE, MODEL, "~openai/gpt:free", "a/b:c", "a:b/c", "plain", "anthropic/claude-sonnet-4.5:thinking", ":x"]
    for model_id in ids:
        await selling.add_model(conn, id=model_id)
    rows = await (await conn.execute("SELECT id, served_by, provider FROM models WHERE id = ANY(%s)", [ids])).fetchall()
    assert {row.id: row.served_by for row in rows} == {one: model_ids.provider_of(one)[0] for one in ids}
    made_by = {row.id: row.provider for row in rows}
    assert made_by[CLAUDE] == made_by["anthropic/claude-sonnet-4.5:thinking"] == "anthropic"
