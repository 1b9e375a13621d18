"""A product's record equals an independent recount of the usage log, at every moment."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import InsufficientPrivilege

from core import db
from core.reporting import record as product_record
from core.reporting import rollup as usage_rollup
from core.resources import draft, publishing, readiness, versions
from tests import histories, selling, shops
from tests.core.reporting.test_histogram import bucket

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)
ENDINGS = [
    histories.Ending(upstream=700),
    histories.Ending(upstream=90_000),
    histories.FAILED,
    histories.CHARGED,
    histories.DECLINED,
]
CALLS = st.lists(
    st.tuples(
        st.timedeltas(min_value=timedelta(days=-33), max_value=timedelta(hours=11)),
        st.sampled_from(ENDINGS),
        st.sampled_from(["paid", "test", "rerun", "truncated", "due", "recorded", "other product"]),
        st.booleans(),
    ),
    max_size=12,
)


async def log_of(conn: db.Connection, sold: versions.Version) -> list[Any]:
    """Every paid row of the usage log that belongs to a product."""
    rows = await conn.execute(
        "SELECT usage_log.*, (SELECT state FROM refunds WHERE refunds.execution_id = usage_log.execution_id"
        " AND round = 1) AS refund FROM usage_log JOIN resource_versions ON resource_versions.id = version_id"
        " WHERE resource_id = %s AND kind = 'paid'",
        [sold.resource_id],
    )
    return await rows.fetchall()


def recounted(rows: list[Any]) -> dict[str, object]:
    """The same numbers, by counting rows in Python."""
    first = (NOON - timedelta(days=29)).replace(hour=0)
    rows = [row for row in rows if first <= row.created_at < first + timedelta(days=30)]
    ended = {state: sum(row.outcome == state for row in rows) for state in ("succeeded", "declined", "failed")}
    cut_off = sum(row.truncated for row in rows)
    counted = len(rows) - ended["declined"]
    return {
        "calls": len(rows),
        **ended,
        "truncated": cut_off,
        "refunded": sum(row.refund == "recorded" for row in rows),
        "owed": sum(row.refund == "due" for row in rows),
        "success": Decimal(ended["succeeded"] - cut_off) / counted if counted else None,
        "buckets": {share: nth_bucket([row.total_ms for row in rows], share) for share in (0.5, 0.95)},
    }


def nth_bucket(durations: list[int], share: float) -> int | None:
    """The bucket of the duration that this share of all do not exceed."""
    ordered = sorted(durations)
    return bucket(ordered[max(-int(-len(ordered) * share // 1), 1) - 1]) if ordered else None


def as_recounted(found: product_record.Record) -> dict[str, object]:
    names = ("calls", "succeeded", "declined", "failed", "truncated", "refunded", "owed", "success")
    buckets = {0.5: found.p50_ms, 0.95: found.p95_ms}
    return {name: getattr(found, name) for name in names} | {
        "buckets": {share: None if ms is None else bucket(ms) for share, ms in buckets.items()}
    }


async def happen(pool: db.Pool, sold: versions.Version, other: versions.Version, call: tuple[Any, ...]) -> None:
    """One call, in each of the ways that the record must tell apart."""
    ago, ending, how, is_counted = call
    async with pool.connection() as conn:
        product = other if how == "other product" else sold
        execution_id = await histories.sell(conn, product, NOON + ago, ending, paid=how != "test")
        if how == "rerun" and ending.outcome == "failed":
            await histories.rerun(conn, execution_id, histories.Ending())
        if how == "truncated" and ending.outcome == "succeeded":
            await conn.execute("UPDATE usage_log SET truncated = true WHERE execution_id = %s", [execution_id])
        if how in ("due", "recorded") and ending.outcome == "failed":
            await conn.execute(
                "INSERT INTO refunds (execution_id, payment_id, account_id, amount_atomic, state, reason, transaction,"
                " decided_at) SELECT id, payment_id, account_id, 10000, %s, 'provider_503', %s::text,"
                " CASE WHEN %s = 'recorded' THEN now() END FROM executions WHERE id = %s",
                [how, "0x" + "a" * 64 if how == "recorded" else None, how, execution_id],
            )
    if is_counted:
        await usage_rollup.roll_up(pool)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CALLS)
def test_it_equals_the_log(own_database: str, calls: list[tuple[Any, ...]]) -> None:
    """Whatever was sold, whether or not the rollup has counted it, each number is that of the log's rows."""

    async def check() -> None:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(db.pool())
            async with pool.connection() as conn:
                sold, other = await histories.publish(conn), await histories.publish(conn)
            for call in calls:
                await happen(pool, sold, other, call)
            for _ in range(2):
                async with db.snapshot(pool) as conn:
                    found = await product_record.record(conn, sold.resource_id, NOON)
                    expected = recounted(await log_of(conn, sold))
                assert as_recounted(found) == expected
                await usage_rollup.roll_up(pool)

    asyncio.run(check())


async def test_the_history_of_prices(pool: db.Pool) -> None:
    """It begins with the offer that stood then, and has each change since, also the return to an older version."""
    async with pool.connection() as conn:
        owner = await selling.creator(conn)
        for price in ("0.01", "0.02", "0.01"):
            content = selling.content(price_usdc=price)
            await publishing.publish(conn, owner.id, draft.read(content), allow_loss=True, allow_breaking=True)
        sold = await readiness.resolve(conn, owner.handle, "haiku")

    async with db.snapshot(pool) as conn:
        now = await product_record.record(conn, sold.resource_id)
        later = await product_record.record(conn, sold.resource_id, datetime.now(UTC) + timedelta(days=90))
        earlier = await product_record.record(conn, sold.resource_id, datetime.now(UTC) - timedelta(days=90))

    assert [(one.version, one.price_atomic) for one in now.prices] == [(1, 10_000), (2, 20_000), (3, 10_000)]
    assert sorted(one.since for one in now.prices) == [one.since for one in now.prices]
    assert [one.version for one in later.prices] == [3]
    assert (earlier.calls, earlier.prices) == (0, ())


@pytest.mark.parametrize("role", ["instant_app", "instant_creator"])
async def test_nobody_edits_the_history(own_database: str, role: str) -> None:
    """Neither a door nor a creator may write a price that never stood; the trigger alone does."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            sold = await histories.publish(conn)
        assert len(await shops.rows(pool, "SELECT FROM resource_offers")) == 1
    with psycopg.connect(own_database, autocommit=True) as conn:
        conn.execute(f"SET ROLE {role}".encode())
        conn.execute("SELECT set_config('instant.account_id', %s, false)", [str(sold.account_id)])
        with pytest.raises(InsufficientPrivilege):
            conn.execute("INSERT INTO resource_offers VALUES (%s, %s, now())", [sold.resource_id, sold.version_id])
        for statement in ("UPDATE resource_offers SET offered_at = now()", "DELETE FROM resource_offers"):
            try:
                changed = conn.execute(statement.encode()).rowcount
            except InsufficientPrivilege:
                changed = 0
            assert changed == 0
