"""Let calls gather between two flow runs: a run costs as much as many calls (docs/decisions/0039)."""

import asyncio
import time
from uuid import UUID

from core import db
from core.executions import queue as execution_queue
from core.executions.queue import Batch
from core.settings import settings

# From 25 calls a second on, a run that follows the last at this distance carries more than that one did.
_SECONDS_PER_CALL = 0.04


async def wait(pool: db.Pool, batch: Batch, worker_id: UUID, began: float) -> None:
    """Wait before the next batch, the longer the more calls this one carries; a few do not wait at all.

    Args:
        pool: our database.
        batch: what was started last.
        worker_id: the launcher.
        began: when it was started (`time.monotonic()`).
    """
    try:
        async with db.autocommit(pool) as conn:
            carried = await execution_queue.count(conn, batch, worker_id)
    except db.UNREACHABLE:
        return
    if carried < settings().batch_limit:
        pause = min(settings().gather_seconds, _SECONDS_PER_CALL * carried)
        await asyncio.sleep(began + pause - time.monotonic())
