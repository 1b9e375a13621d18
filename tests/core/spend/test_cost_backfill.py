"""Costs that are learned later: calls that were charged and lost, against the practice provider's `/generation`."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from core import db
from core.accounts import provider_keys
from core.executions import sends, steps
from core.failures import ExecutionFailed
from core.providers import client as provider_client
from core.providers import usage as provider_usage
from core.providers.registry import OPENROUTER
from core.secrets.private import Private
from core.spend import cost_backfill
from core.spend.cost_backfill import Reconciled
from tests import callers, orders, shops
from tests.callers import Creator

LOST = ExecutionFailed("resource_unavailable", "provider", "provider_cut")
NOW = timedelta(0)


@dataclass
class Lost:
    """An execution whose call was charged and cut off."""

    pool: db.Pool
    creator: Creator
    order: steps.Order
    worst: Decimal

    async def charged(self) -> Decimal:
        """The charge in the provider's own book."""
        cost: Decimal = (await self.creator.seen())["generations"][0]["cost"]
        return cost

    async def books(self) -> tuple[Decimal, Decimal | None]:
        """The creator's spending of the day, and the logged cost."""
        query = "SELECT spent_usd, (SELECT cost_usd FROM usage_log) FROM spend_days"
        ((spent, logged),) = await shops.rows(self.pool, query)
        return spent, logged


@pytest.fixture
async def lost(own_database: str, creator: Creator) -> AsyncIterator[Lost]:
    async with db.pool() as pool:
        sold = await orders.version(pool)
        await provider_keys.set_key(pool, sold.account_id, Private(creator.key))
        launcher = await orders.hire(pool)
        (order,) = await orders.begin(pool, launcher, await orders.queue(pool, sold))
        await creator.order("cut;done=1")
        asked = replace(callers.PROMPT, execution_id=order.id)
        sent = await sends.begin(
            pool, asked, account_id=order.account_id, attempt_id=order.attempt_id, worst_cost_usd=Decimal(0)
        )
        used = (await creator.send(asked)).usage
        async with pool.connection() as conn:
            await sends.finish(conn, [sends.Ended(sent, "provider_cut", used)])
        await orders.finish(pool, order, LOST)
        yield Lost(pool, creator, order, sold.worst_cost_usd)


async def test_what_a_lost_call_cost_is_learned(lost: Lost) -> None:
    """It counts at its worst case until it is known; then spending and usage equal the provider's record, once."""
    assert await lost.books() == (lost.worst, None)
    assert await cost_backfill.reconcile(lost.pool, youngest=NOW) == Reconciled(unpriced=1, priced=1, keyless=0)

    charged = await lost.charged()
    assert 0 < charged < lost.worst
    assert await lost.books() == (charged, charged)
    assert await cost_backfill.reconcile(lost.pool, youngest=NOW) == Reconciled(unpriced=0, priced=0, keyless=0)


async def test_what_is_not_known_yet_is_asked_for_again(lost: Lost) -> None:
    """The provider knows a generation only some time after its end; until then nothing changes."""
    await lost.creator.order(silence=1)
    assert (await cost_backfill.reconcile(lost.pool, youngest=NOW)).priced == 0
    assert await lost.books() == (lost.worst, None)
    assert (await cost_backfill.reconcile(lost.pool, youngest=NOW)).priced == 1


async def test_what_may_still_run_is_left_alone(lost: Lost) -> None:
    """Only sends are looked up that are older than the longest call, and younger than a week."""
    assert (await cost_backfill.reconcile(lost.pool)).unpriced == 0
    for age, asked in (("16 minutes", 1), ("8 days", 0)):
        await shops.rows(lost.pool, f"UPDATE sends SET sent_at = now() - interval '{age}' RETURNING number")  # noqa: S608
        await lost.creator.order(silence=100)
        assert (await cost_backfill.reconcile(lost.pool)).unpriced == asked


async def test_passes_at_the_same_time_count_once(lost: Lost) -> None:
    """However many passes run at once, the cost is recorded once."""
    await asyncio.gather(*(cost_backfill.reconcile(lost.pool, youngest=NOW) for _ in range(5)))
    charged = await lost.charged()
    assert await lost.books() == (charged, charged)


async def test_without_a_key_nobody_can_ask(lost: Lost) -> None:
    """Without the creator's key the worst case stays; other creators' costs are still requested."""
    async with lost.pool.connection() as conn:
        await provider_keys.delete_key(conn, lost.order.account_id)
    assert await cost_backfill.reconcile(lost.pool, youngest=NOW) == Reconciled(unpriced=1, priced=0, keyless=1)


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        ('{"data":{"total_cost":0.000012345678901234567890}}', Decimal("0.000012345678901234567890")),
        ('{"data":{"total_cost":0.1,"upstream_inference_cost":0.1,"is_byok":false}}', Decimal("0.1")),
        ('{"data":{"total_cost":0.1,"upstream_inference_cost":2,"is_byok":true}}', Decimal("2.1")),
        ('{"data":{"total_cost":0.1,"is_byok":true}}', None),
        ('{"data":{"total_cost":-1}}', None),
        ('{"data":{"total_cost":"1"}}', None),
        ('{"data":null}', None),
        ("[]", None),
    ],
)
def test_what_a_generation_says_of_its_cost(body: str, cost: Decimal | None) -> None:
    """An exact decimal, including the upstream's own share if the creator pays it; anything else is unknown."""
    assert provider_usage.read_generation(body.encode()) == cost


async def test_a_stranger_is_told_nothing(lost: Lost) -> None:
    """Another key, an invalid key, or an unknown generation gives neither a cost nor an exception."""
    for key in (f"sk-or-v1-practice-{uuid4().hex}", "nonsense", "no key at all"):
        assert await provider_client.cost_of(OPENROUTER, Private(key), "gen-1") is None
