"""The launcher: a group commit of flow runs.

It claims what is queued, starts one run for it, and takes the next batch as soon as that run's `validate` has begun.
Idle, every call has a run of its own; in a burst, one run carries many. Postgres decides who runs what.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import cast
from uuid import UUID

from prefect.context import AsyncClientContext, SyncClientContext
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

from core import db, execution, recovery, worker
from core.apart import apart
from core.db import listen
from core.execution import Batch
from core.payment import settlement
from core.payment.settlement import Settlers
from core.settings import settings
from flows.instant_execution import instant_execution

log = logging.getLogger(__name__)

# The slow timer that looks again although nobody said anything.
_LOOK_AGAIN_SECONDS = 5.0
# After a run that could not be started; whoever cannot be reached is left alone for a moment.
_BACK_OFF_SECONDS = 1.0
# How long a stopping process waits for the calls it carries; what is left is taken over by others.
_DRAIN_SECONDS = 30.0
# How long it then waits for Prefect to hear how they ended.
_TELL_PREFECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Launcher:
    pool: db.Pool
    hub: listen.Hub
    worker_id: UUID
    runs: set[asyncio.Task[None]] = field(default_factory=set)


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """Launch queued executions, and recover, for as long as the block runs; then wait for what was begun.

    It has a thread and an event loop of its own. In a main thread, every Prefect run replaces the handler of SIGTERM by
    one that raises wherever the process happens to be; elsewhere it cannot, and the process ends as its owner means it
    to.
    """
    async with apart(_main, name="launcher", gone=_stop_the_process):
        yield


def _stop_the_process(ended: Future[None]) -> None:
    """A door that sells and does not launch is worse than one that is down: stop, so that it is started again."""
    log.critical("launch: ended with %s, stopping", type(ended.exception()).__name__)
    os.kill(os.getpid(), signal.SIGTERM)


async def _main(stop: asyncio.Event) -> None:
    async with (
        db.pool() as pool,
        listen.listening() as hub,
        settlement.settlers() as settlers,
        worker.alive(pool, "executor") as worker_id,
        _prefect_clients(),
    ):
        launcher = _Launcher(pool, hub, worker_id)
        loops = [
            asyncio.create_task(_launch(launcher), name="launch"),
            asyncio.create_task(_recover(pool, settlers, worker_id), name="recover"),
            asyncio.create_task(stop.wait(), name="stop"),
        ]
        ended, going = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        for loop in going:
            loop.cancel()
        await asyncio.wait(going)
        if launcher.runs:
            await asyncio.wait(launcher.runs, timeout=_DRAIN_SECONDS)
        for loop in ended:
            loop.result()


@asynccontextmanager
async def _prefect_clients() -> AsyncIterator[None]:
    """Both clients once for all runs, to the end of the last: each would build its own, with a blocked event loop.

    Prefect sends logs and events, and with them how tasks ended, from queues that it empties at exit; but a process
    that ends by a signal, as uvicorn's do, has no such exit.
    """
    async with AsyncClientContext.get_or_create():
        with SyncClientContext.get_or_create():
            yield
    for sender in (APILogWorker, EventsWorker):
        # Prefect's type is for both kinds of caller; on a running loop it is awaitable.
        await cast(Awaitable[object], sender.drain_all(timeout=_TELL_PREFECT_SECONDS))


async def _launch(launcher: _Launcher) -> None:
    with launcher.hub.event(listen.QUEUED) as queued:
        for alone_first in cycle((False, True)):
            queued.clear()
            batch = await _claim(launcher, alone_first=alone_first)
            if batch is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(queued.wait(), _LOOK_AGAIN_SECONDS)
            else:
                await _start(launcher, batch)


async def _claim(launcher: _Launcher, *, alone_first: bool) -> Batch | None:
    try:
        async with launcher.pool.connection() as conn:
            return await execution.claim(conn, launcher.worker_id, settings().batch_limit, alone_first=alone_first)
    except db.UNREACHABLE as error:
        log.warning("launch: the database is out of reach (%s)", type(error).__name__)
        await asyncio.sleep(_BACK_OFF_SECONDS)
        return None


async def _start(launcher: _Launcher, batch: Batch) -> None:
    """Start a run and come back when its `validate` has begun, or when it is over."""
    with launcher.hub.event(listen.BEGUN, str(batch.id)) as begun:
        run = asyncio.create_task(_carry(launcher, batch), name=f"batch {batch.id}")
        launcher.runs.add(run)
        run.add_done_callback(launcher.runs.discard)
        waiting = asyncio.create_task(begun.wait())
        await asyncio.wait({run, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()


async def _carry(launcher: _Launcher, batch: Batch) -> None:
    """Run the flow, then hand back what it did not bring to rest: it is claimed again, alone if need be."""
    run = asyncio.ensure_future(instant_execution(batch.execution_ids, return_state=True))
    await asyncio.wait({run})
    if trouble := run.exception():
        # Prefect could not be reached, or gave up. Its text may quote anything, so only its type is told.
        log.warning("launch: batch %s ended with %s", batch.id, type(trouble).__name__)
        await asyncio.sleep(_BACK_OFF_SECONDS)
    freed = await db.insist(launcher.pool, lambda conn: execution.hand_back(conn, batch, launcher.worker_id))
    if freed:
        log.warning("launch: batch %s handed back %d executions", batch.id, len(freed))


async def _recover(pool: db.Pool, settlers: Settlers, worker_id: UUID) -> None:
    while True:
        try:
            done = await recovery.recover(pool, settlers, worker_id)
            if done.freed or done.given_up or done.doubted or done.decided or done.logged or done.owed:
                log.info("recovery: %s", done)
        except db.UNREACHABLE as error:
            log.warning("recovery: the database is out of reach (%s)", type(error).__name__)
        await asyncio.sleep(settings().recovery_seconds)
