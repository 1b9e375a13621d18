"""The gauges, which one query computes."""

from collections.abc import AsyncIterator

import pytest

from core import db
from core.observability import gauges
from core.settings import SANDBOX_NETWORK, settings
from tests import orders, shops


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


async def look(pool: db.Pool) -> gauges.Snapshot:
    async with db.autocommit(pool) as conn:
        return await gauges.read(conn)


async def test_nothing_is_under_way(pool: db.Pool) -> None:
    """An empty database gives zeros, and no age of the catalog."""
    assert await look(pool) == gauges.Snapshot(
        executions={"held": 0, "queued": 0, "running": 0},
        oldest_queued_seconds=0,
        payments={"settling": 0, "unknown": 0},
        workers={"door": 0, "executor": 0},
        refunds_due=0,
        refunds_sending=0,
        catalog_age_seconds=None,
        schedules={},
        networks=[gauges.NetworkState(SANDBOX_NETWORK, None, 0, 0)],
    )


async def test_everything_is_under_way(pool: db.Pool) -> None:
    """Each state is counted separately, dead workers are not counted, and the oldest queued call gives the age."""
    alive, _, dead = [await orders.hire(pool) for _ in range(3)]
    sold = await orders.version(pool, slots=20)
    await orders.begin(pool, alive, await orders.queue(pool, sold, 2))
    queued = await orders.queue(pool, sold, 3)
    async with pool.connection() as conn:
        for _ in range(3):
            await orders.ledger.claim(
                conn, [orders.ledger.ClaimRequest(orders.terms(sold), sold, orders.INPUTS, alive)]
            )
        await conn.execute("UPDATE payments SET state = 'unknown' WHERE id = (SELECT id FROM payments LIMIT 1)")
        await conn.execute("UPDATE executions SET queued_at = now() - interval '1 hour' WHERE id = %s", [queued[1]])
        # A running execution does not wait any more, however long ago it was queued.
        await conn.execute("UPDATE executions SET queued_at = now() - interval '1 day' WHERE state = 'running'")
        await conn.execute(
            "INSERT INTO catalog_syncs (at, outcome, why) VALUES (now() - interval '2 days', 'applied', NULL),"
            " (now() - interval '1 day', 'not_modified', NULL), (now(), 'refused', 'truncated')"
        )
    await orders.bury(pool, dead)

    found = await look(pool)

    assert found.executions == {"held": 3, "queued": 3, "running": 2}
    assert found.payments == {"settling": 2, "unknown": 1}
    assert found.workers == {"door": 0, "executor": 2}
    assert 3600 <= found.oldest_queued_seconds < 2 * 3600
    assert found.catalog_age_seconds is not None
    assert 86_400 <= found.catalog_age_seconds < 2 * 86_400

    # A sync that finds nothing new is only a success of its schedule.
    ran = "INSERT INTO schedules (name, succeeded_at) VALUES ('catalog_sync', now() - interval '1 hour') RETURNING name"
    await shops.rows(pool, ran)
    assert 3600 <= db.required((await look(pool)).catalog_age_seconds) < 7200


async def test_what_is_owed_is_counted_until_it_is_paid_back(pool: db.Pool) -> None:
    """A paid execution counts that failed with no re-run left."""
    worker_id = await orders.hire(pool)
    execution_id = await orders.pay(pool, await orders.version(pool), worker_id)
    (order,) = await orders.begin(pool, worker_id, [execution_id])
    await orders.finish(pool, order, orders.ExecutionFailed("internal_error", "ours", "internal_Practice"))
    assert (await look(pool)).refunds_due == 0

    lapsed = "UPDATE executions SET rerun_until = now() WHERE id = %(id)s RETURNING id"
    await shops.rows(pool, lapsed, id=execution_id)
    await orders.recover(pool, worker_id)
    assert (await look(pool)).refunds_due == 1

    await shops.rows(pool, "UPDATE refunds SET state = 'waived', note = 'x', decided_at = now() RETURNING execution_id")
    assert (await look(pool)).refunds_due == 0


async def test_it_reads_only_what_is_unfinished(pool: db.Pool) -> None:
    """However much has ended: no ever-growing table is scanned completely."""
    async with pool.connection() as conn:
        await conn.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(
            row[0]
            for row in await (
                await conn.execute(f"EXPLAIN {gauges.sql.snapshot.sql}", {"lease_seconds": settings().lease_seconds})
            ).fetchall()
        )

    assert "Seq Scan" not in plan
    assert {index for index in INDEXES if index in plan} == INDEXES


INDEXES = {
    "executions_unfinished",
    "payments_undecided",
    "workers_alive",
    "refunds_due",
    "refund_transfers_sending",
    "catalog_syncs_pkey",
}
