"""Which failures count against a wallet, for how long, and how many it may cause."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from core import db
from core.executions import lifecycle, refundable, steps
from core.failures import ExecutionFailed, Fault
from core.providers.errors import CAUSED_BY_WORDS, provider_failure
from core.resources import versions
from core.settings import settings
from tests import orders, shops

PAYER = "0x" + "ab" * 20


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@pytest.fixture
async def sold(pool: db.Pool) -> versions.Version:
    return await orders.version(pool)


async def bought(pool: db.Pool, sold: versions.Version, count: int) -> list[UUID]:
    """Paid, queued executions of PAYER."""
    worker_id = await orders.hire(pool)
    ids = [await orders.pay(pool, sold, worker_id) for _ in range(count)]
    await shops.rows(
        pool,
        "UPDATE payments SET payer = %(payer)s WHERE id IN"
        " (SELECT payment_id FROM executions WHERE id = ANY(%(ids)s)) RETURNING id",
        payer=PAYER,
        ids=ids,
    )
    return ids


async def note(pool: db.Pool, execution_id: UUID, count: int, age: str = "0") -> None:
    """As many failed rounds of one execution, of this age."""
    await shops.rows(
        pool,
        "INSERT INTO refundable_failures (execution_id, round, payer, resource_id, failed_at)"
        " SELECT executions.id, n, %(payer)s, resource_id, now() - %(age)s::interval"
        " FROM executions JOIN resource_versions ON resource_versions.id = version_id,"
        " generate_series(1, %(count)s::integer) AS n WHERE executions.id = %(id)s RETURNING round",
        id=execution_id,
        payer=PAYER,
        age=age,
        count=count,
    )


async def is_refused(pool: db.Pool, resource_id: UUID, payer: str = PAYER) -> bool:
    async with pool.connection() as conn:
        return await refundable.refused_until(conn, payer, resource_id) is not None


def test_what_a_buyer_can_cause() -> None:
    """Length and form cause these, and each costs a generation. An outage does not."""
    assert {
        *("provider_truncated", "provider_reasoning_only", "provider_malformed_json", "provider_tool_call"),
        *("provider_empty", "provider_bad_image", "provider_too_large", "provider_timeout", "withheld_overlap"),
    } == CAUSED_BY_WORDS


@pytest.mark.parametrize(
    ("name", "counts"), [("provider_truncated", True), ("provider_502", False), ("provider_refused", False)]
)
async def test_which_failures_count(pool: db.Pool, sold: versions.Version, name: str, counts: bool) -> None:
    """Only a paid call that failed like this; an owner's test has no wallet."""
    worker_id = await orders.hire(pool)
    ids = [*await bought(pool, sold, 1), *await orders.queue(pool, sold)]
    failure = provider_failure(name)
    for order in await orders.begin(pool, worker_id, ids):
        async with pool.connection() as conn:
            await steps.fail(conn, order, failure)

    rows = await shops.rows(pool, "SELECT execution_id, payer FROM refundable_failures")

    assert [tuple(row) for row in rows] == ([(ids[0], PAYER)] if counts else [])


async def test_so_many_in_a_day(pool: db.Pool, sold: versions.Version) -> None:
    """From the limit on, of one wallet at one resource, until the oldest of them is a day old."""
    (execution,) = await bought(pool, sold, 1)
    most = settings().refundable_failures
    await note(pool, execution, most - 1)
    assert not await is_refused(pool, sold.resource_id)
    await shops.rows(pool, "DELETE FROM refundable_failures RETURNING round")
    await note(pool, execution, most)

    assert await is_refused(pool, sold.resource_id)
    assert not await is_refused(pool, (await orders.version(pool)).resource_id)
    assert not await is_refused(pool, sold.resource_id, "0x" + "cd" * 20)
    await shops.rows(pool, "UPDATE refundable_failures SET failed_at = now() - interval '1 day' RETURNING round")
    assert not await is_refused(pool, sold.resource_id)


async def test_who_buys_a_lot_may_fail_more(pool: db.Pool, sold: versions.Version) -> None:
    """A tenth of the purchases of a day, where that is more than the limit."""
    ids = await bought(pool, sold, 51)
    await note(pool, ids[0], 5)
    assert not await is_refused(pool, sold.resource_id)
    await note(pool, ids[1], 1)
    assert await is_refused(pool, sold.resource_id)


async def test_no_free_rerun_either(pool: db.Pool, sold: versions.Version) -> None:
    """A failed call of a wallet at its limit is not run again, whatever it failed of; then it is owed."""
    worker_id = await orders.hire(pool)
    (execution,) = await bought(pool, sold, 1)
    (order,) = await orders.begin(pool, worker_id, [execution])
    fault: Fault = "provider"
    async with pool.connection() as conn:
        await steps.fail(conn, order, ExecutionFailed("resource_unavailable", fault, "provider_502"))
    await note(pool, execution, settings().refundable_failures)
    async with pool.connection() as conn:
        assert not await lifecycle.rerun(conn, execution)
    await shops.rows(pool, "DELETE FROM refundable_failures RETURNING round")
    async with pool.connection() as conn:
        assert await lifecycle.rerun(conn, execution)
