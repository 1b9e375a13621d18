"""Register a process as a worker that may own work: one row with one heartbeat.

Like the pool, a worker is opened by its outermost user and shared by everything inside: a flow in a launcher's process
belongs to the launcher, and a flow in its own process on a work pool is a worker itself.
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
from core.db.queries.worker import Process as Process
from core.db.queries.worker import sql
from core.process.background_loop import run_in_thread
from core.secrets.vault import vault
from core.settings import settings

log = logging.getLogger(__name__)

_worker_ids: WeakKeyDictionary[asyncio.AbstractEventLoop, UUID] = WeakKeyDictionary()
_draining: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


@asynccontextmanager
async def registered(
    pool: db.Pool, kind: Literal["door", "executor", "run", "schedule"], flow_run_id: UUID | None = None
) -> AsyncIterator[UUID]:
    """Be a worker for the duration of the block, unless this event loop already is one.

    Args:
        pool: used to register and to unregister; the heartbeat opens a connection of its own.
        kind: the kind of process, shown to the operator.
        flow_run_id: the Prefect flow run, if this process exists for one.

    Yields:
        The worker's id, the owner of everything that this process claims.
    """
    loop = asyncio.get_running_loop()
    if shared_id := _worker_ids.get(loop):
        yield shared_id
        return
    worker_id = uuid4()
    async with pool.connection() as conn:
        await sql.register(
            conn,
            id=worker_id,
            kind=kind,
            host=socket.gethostname(),
            pid=os.getpid(),
            flow_run_id=flow_run_id,
            master_key_ids=list(vault().key_ids),
        )
    _worker_ids[loop] = worker_id
    try:
        # In a thread of its own: otherwise a busy event loop would look like a dead process, and lose its executions.
        async with run_in_thread(lambda stop: _beat(worker_id, stop, loop), name="heartbeat"):
            yield worker_id
    finally:
        del _worker_ids[loop]
        _draining.discard(loop)
    async with pool.connection() as conn:
        await sql.stop(conn, id=worker_id)


@contextmanager
def draining() -> Iterator[None]:
    """Drain this event loop during the block: it finishes its executions and takes no new ones."""
    loop = asyncio.get_running_loop()
    _draining.add(loop)
    try:
        yield
    finally:
        _draining.discard(loop)


def is_draining() -> bool:
    """Whether this event loop takes no new executions, because its process stops or was asked to drain."""
    return asyncio.get_running_loop() in _draining


async def processes(conn: db.Connection) -> list[Process]:
    """List the doors and executors, also those of the last day that fell silent without a good end."""
    return [row async for row in sql.processes(conn, lease_seconds=settings().lease_seconds)]


async def ask_to_drain(conn: db.Connection, some: Sequence[Process]) -> None:
    """Ask processes to take no new work. Each reads it with its next heartbeat; only a restart takes it back."""
    await sql.ask_to_drain(conn, ids=[worker_id for process in some for worker_id in process.ids])


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last heartbeat of the workers of a Prefect flow run."""

    is_alive: bool
    at: datetime


async def heartbeats(conn: db.Connection, flow_run_ids: Sequence[UUID]) -> dict[UUID, Heartbeat]:
    """Return the last heartbeat for each of these Prefect runs; runs that never had a worker of ours are left out."""
    rows = sql.signs(conn, flow_run_ids=list(flow_run_ids), lease_seconds=settings().lease_seconds)
    return {row.flow_run_id: Heartbeat(row.is_alive, row.at) async for row in rows}


async def launchers(conn: db.Connection) -> int:
    """Count the living processes that launch queued executions."""
    return await sql.launchers(conn, lease_seconds=settings().lease_seconds)


async def _beat(worker_id: UUID, stop: asyncio.Event, served: asyncio.AbstractEventLoop) -> None:
    """Write heartbeats until `stop`, and have the loop that is served drain once somebody asked for it."""
    while not stop.is_set():
        try:
            async with await db.connect() as conn:
                while not stop.is_set():
                    if await sql.beat(conn, id=worker_id):
                        served.call_soon_threadsafe(_begin_to_drain, served)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), settings().heartbeat_seconds)
        except db.UNREACHABLE as error:
            log.warning("heartbeat: missed one (%s)", type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), settings().heartbeat_seconds)


def _begin_to_drain(served: asyncio.AbstractEventLoop) -> None:
    if served not in _draining:
        log.warning("worker: asked to drain; no new work is taken until a restart")
        _draining.add(served)
