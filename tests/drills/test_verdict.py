"""A wrong rollup is found, and so is a flow run that no process carries."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from core import db
from core.executions import lifecycle
from drills import books, verdict
from tests import orders, past, shops
from tests.past import Calls


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@pytest.mark.parametrize(
    "miscount",
    [
        "UPDATE usage_rollup SET calls = calls + 1 WHERE span = 'hour'",
        "UPDATE usage_rollup SET revenue_atomic = 0 WHERE span = 'day'",
        "DELETE FROM usage_rollup WHERE span = 'month'",
    ],
)
async def test_recount(pool: db.Pool, miscount: str) -> None:
    """A call's figures must be in each span; one wrong number in one of them is reported."""
    async with pool.connection() as conn:
        sold = await orders.published(conn)
    failed = Calls(datetime.now(UTC), 2, "failed", "provider_503", "provider", cost_usd=None)
    await past.happened(pool, sold, [Calls(datetime.now(UTC), 3), failed])

    assert await books.recount(pool) == []
    await shops.rows(pool, f"{miscount} RETURNING span")
    assert await books.recount(pool)


@pytest.mark.usefixtures("prefect_server")
async def test_unfinished_runs(pool: db.Pool) -> None:
    """A run whose owner is dead is ended as by recovery; one whose owner lives is reported."""
    from prefect.client.orchestration import get_client
    from prefect.states import Running

    from flows.instant_execution import instant_execution

    (one,) = await orders.queue(pool, await orders.version(pool))

    async def begin(batch_id: UUID) -> None:
        parameters = {"execution_ids": [str(one)], "batch_id": str(batch_id)}
        async with get_client() as prefect:
            await prefect.create_flow_run(instant_execution, name="lost", parameters=parameters, state=Running())

    async def lost(seconds: int) -> list[str]:
        # Other tests use the same server with separate databases.
        return [found for found in await verdict.unfinished_runs(pool, seconds) if "lost" in found]

    await begin(uuid4())
    assert await lost(1) == []

    carried = uuid4()
    async with pool.connection() as conn:
        await lifecycle.sql.begin_batch(conn, id=carried, worker_id=await orders.hired(conn))
    await begin(carried)
    assert len(await lost(1)) == 1

    async with pool.connection() as conn:
        await conn.execute("DELETE FROM batches")
    assert await lost(1) == []
