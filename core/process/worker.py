"""A process that may own work: one row, one heartbeat.

Like the pool, it is opened by its outermost user and shared by everyone inside: a flow in a launcher's process is
carried by that launcher, and a flow in a process of its own, on a work pool, is a worker itself.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4
from weakref import WeakKeyDictionary, WeakSet

from core import db
from core.db.queries.worker import sql
from core.process.background_loop import run_in_thread
from core.settings import settings

log = logging.getLogger(__name__)

_alive: WeakKeyDictionary[asyncio.AbstractEventLoop, UUID] = WeakKeyDictionary()
_leaving: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


@asynccontextmanager
async def registered(
    pool: db.Pool, kind: Literal["door", "executor", "run", "schedule"], flow_run_id: UUID | None = None
) -> AsyncIterator[UUID]:
    """Be a worker while the block runs, unless this event loop is one already.

    Args:
        pool: used to register and to unregister; the heartbeat opens a connection of its own.
        kind: what this process is for, shown to the operator.
        flow_run_id: the one Prefect run that this process is there for, if it is so.

    Yields:
        The worker's id, to be written as owner of what this process takes.
    """
    loop = asyncio.get_running_loop()
    if known := _alive.get(loop):
        yield known
        return
    worker_id = uuid4()
    async with pool.connection() as conn:
        await sql.register(
            conn, id=worker_id, kind=kind, host=socket.gethostname(), pid=os.getpid(), flow_run_id=flow_run_id
        )
    _alive[loop] = worker_id
    try:
        # Apart, so that a busy event loop is not taken for a dead process, and its live work is not taken over.
        async with run_in_thread(lambda stop: _beat(worker_id, stop), name="heartbeat"):
            yield worker_id
    finally:
        del _alive[loop]
    async with pool.connection() as conn:
        await sql.stop(conn, id=worker_id)


@contextmanager
def draining() -> Iterator[None]:
    """While the block runs, what this event loop carries is brought to its end, and nothing is taken along any more."""
    loop = asyncio.get_running_loop()
    _leaving.add(loop)
    try:
        yield
    finally:
        _leaving.discard(loop)


def is_draining() -> bool:
    """Whether this event loop only ends what it has begun."""
    return asyncio.get_running_loop() in _leaving


@dataclass(frozen=True, slots=True)
class Sign:
    """The last sign of life of those who carry a Prefect run, or did."""

    is_alive: bool
    at: datetime


async def signs(conn: db.Connection, flow_run_ids: Sequence[UUID]) -> dict[UUID, Sign]:
    """The last sign of life from each of these Prefect runs; those that no process of ours was ever there for lack."""
    found = sql.signs(conn, flow_run_ids=list(flow_run_ids), lease_seconds=settings().lease_seconds)
    return {row.flow_run_id: Sign(row.is_alive, row.at) async for row in found}


async def launchers(conn: db.Connection) -> int:
    """How many living processes run what is queued."""
    return await sql.launchers(conn, lease_seconds=settings().lease_seconds)


async def _beat(worker_id: UUID, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            async with await db.connect() as conn:
                while not stop.is_set():
                    await sql.beat(conn, id=worker_id)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), settings().heartbeat_seconds)
        except db.UNREACHABLE as error:
            log.warning("heartbeat: missed one (%s)", type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), settings().heartbeat_seconds)
