"""The pause between two flow runs: none after a few calls, and the setting's after many."""

import time
from pathlib import Path

import pytest

from core import db
from core.executions import queue as execution_queue
from core.process.worker import registered
from core.settings import settings
from deployments import gathering
from tests import orders
from tests.shops import Shop

_FORGET = "UPDATE executions SET state = 'void', claimed_by = NULL, finished_at = now() WHERE id = ANY(%s)"


@pytest.mark.parametrize(("count", "least", "most"), [(1, 0.04, 0.3), (20, 0.4, 2.0)])
async def test_many_calls_gather(
    surroundings: Path, pool: db.Pool, shop: Shop, count: int, least: float, most: float
) -> None:
    """One call delays the next run by less than that needs to begin; twenty delay it by INSTANT_GATHER_SECONDS."""
    assert settings().gather_seconds == 0.4
    async with registered(pool, "executor") as worker_id:
        async with pool.connection() as conn:
            await conn.execute("UPDATE accounts SET slots = %s WHERE id = %s", [count, shop.account.id])
            ids = await orders.create(conn, await shop.version(pool), count)
            batch = await execution_queue.claim(conn, worker_id, count)
        assert batch
        assert set(batch.execution_ids) == set(ids)
        began = time.monotonic()
        await gathering.wait(pool, batch, worker_id, began)
        paused = time.monotonic() - began
        async with pool.connection() as conn:
            await conn.execute(_FORGET, [ids])

    assert least <= paused < most
