"""A process that may own work: one row, one heartbeat."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal
from uuid import UUID, uuid4

from core import db
from core.settings import settings

log = logging.getLogger(__name__)
sql = db.load("worker")


@asynccontextmanager
async def alive(pool: db.Pool, kind: Literal["door", "executor", "recovery"]) -> AsyncIterator[UUID]:
    """Be a worker while the block runs.

    Args:
        pool: for the heartbeats; no connection is held between them.
        kind: what this process is for, shown to the operator.

    Yields:
        The worker's id, to be written as owner of what this process takes.
    """
    worker_id = uuid4()
    async with pool.connection() as conn:
        await sql.register(conn, id=worker_id, kind=kind, host=socket.gethostname(), pid=os.getpid())
    beating = asyncio.create_task(_beat(pool, worker_id), name="heartbeat")
    try:
        yield worker_id
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
        async with pool.connection() as conn:
            await sql.stop(conn, id=worker_id)


async def _beat(pool: db.Pool, worker_id: UUID) -> None:
    while True:
        await asyncio.sleep(settings().heartbeat_seconds)
        try:
            async with pool.connection() as conn:
                await sql.beat(conn, id=worker_id)
        except db.UNREACHABLE as error:
            log.warning("heartbeat: missed one (%s)", type(error).__name__)
