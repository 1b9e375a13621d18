"""Launch flow runs by group commit.

The launcher claims queued executions, starts one run for them, and claims the next batch as soon as that run's
`validate` has begun. When idle, every call has a run of its own; in a burst, one run has many. Postgres decides which
process runs what.

The launcher is the same in the door's process, in an `instant executor`, and in front of a work pool;
`deployments/batch_runner.py` runs the batches.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import astuple, dataclass, field
from itertools import cycle
from uuid import UUID

from core import db, recovery
from core.catalog import price_sync
from core.db import notifications
from core.executions import queue as execution_queue
from core.executions.queue import Batch
from core.failures import log_unexpected_end, place_of
from core.notices import posting
from core.observability import logs
from core.payments import settlement
from core.payments.settlement import PaymentClients
from core.process import worker
from core.process.background_loop import run_in_thread
from core.providers import client as provider_client
from core.resources.repricing import reprice
from core.settings import settings
from deployments import batch_runner, gathering
from deployments.batch_runner import Runner
from tasks import prefect_adapter

log = logging.getLogger(__name__)

# How often the queue is checked without a notification.
_POLL_SECONDS = 5.0
# The pause after a failure, before the same server is asked again.
_BACK_OFF_SECONDS = 1.0
# How often finished runs are closed although recovery freed nothing: scheduled runs have nothing to free.
_CLOSE_RUNS_SECONDS = 60.0
# How often it is looked for a sync that was asked for.
_SYNC_PRICES_SECONDS = 60.0
# How often webhooks are told.
_TELL_SECONDS = 2.0
# How long a cancelled run may take to report its end to Prefect.
_CUT_OFF_SECONDS = 5.0


@dataclass(slots=True)
class _Launcher:
    """The state of one launcher.

    Attributes:
        batches: tasks that each run one batch and then release its unfinished executions.
        runs: the runs inside them, which are cancelled when the drain time is over.
        prefect_lost_at: `time.monotonic()` since when Prefect is down; None while it is up.
        freed: set when recovery freed executions whose runs Prefect still shows as running.
    """

    pool: db.Pool
    hub: notifications.NotificationHub
    worker_id: UUID
    batches: set[asyncio.Task[None]] = field(default_factory=set)
    runs: set[asyncio.Task[None]] = field(default_factory=set)
    prefect_lost_at: float | None = None
    freed: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """Launch in a door's process, unless INSTANT_LAUNCH leaves it to executors."""
    if settings().launch == "executor":
        yield
        return
    async with launching():
        yield


@asynccontextmanager
async def launching() -> AsyncIterator[None]:
    """Launch queued executions, and recover, for the duration of the block; then wait for running batches.

    The launcher has a thread and an event loop of its own. In the main thread, every Prefect run replaces the handler
    of SIGTERM by one that raises anywhere in the process; in another thread it cannot do so, and the process keeps its
    own handler. The launcher loads Prefect before the block begins, so that a door opens with everything in place.
    """
    batch_runner.load()
    logs.configure(settings())
    async with run_in_thread(_main, name="launcher", on_early_end=_stop_the_process):
        yield


def _stop_the_process() -> None:
    """Stop the process, so that it is started again: a door that sells but does not launch is worse than none."""
    log.critical("launch: the launcher has ended, stopping the process")
    os.kill(os.getpid(), signal.SIGTERM)


async def _main(stop: asyncio.Event) -> None:
    async with (
        db.pool() as pool,
        notifications.listening() as hub,
        settlement.payment_clients() as clients,
        provider_client.connections(),
        worker.registered(pool, "executor") as worker_id,
        prefect_adapter.clients(),
    ):
        launcher = _Launcher(pool, hub, worker_id)
        loops = [
            asyncio.create_task(_launch(launcher), name="launch"),
            asyncio.create_task(_recover(launcher, clients), name="recover"),
            asyncio.create_task(_close_runs(launcher), name="close runs"),
            asyncio.create_task(_sync_prices(launcher), name="sync prices"),
            asyncio.create_task(_tell_webhooks(launcher), name="tell webhooks"),
            asyncio.create_task(_probe_prefect(launcher), name="look for Prefect"),
            asyncio.create_task(stop.wait(), name="stop"),
        ]
        ended, pending = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        for loop in pending:
            loop.cancel()
        await asyncio.wait(pending)
        with worker.draining():
            await _drain(launcher)
        for loop in ended:
            loop.result()


async def _drain(launcher: _Launcher) -> None:
    """Finish the running batches. Late ones are cancelled, and other processes take their executions over."""
    if launcher.batches:
        _, late = await asyncio.wait(launcher.batches, timeout=settings().drain_seconds)
        for run in launcher.runs:
            run.cancel()
        if late:
            log.warning("launch: cutting off %d runs", len(launcher.runs))
            await asyncio.wait(late, timeout=_CUT_OFF_SECONDS)


async def _launch(launcher: _Launcher) -> None:
    with launcher.hub.event(notifications.QUEUED) as queued:
        for alone_first in cycle((False, True)):
            queued.clear()
            runner = None if worker.is_draining() else _choose_runner(launcher)
            batch = runner and await _claim(launcher, alone_first=alone_first)
            if runner and batch:
                began = time.monotonic()
                await _start(launcher, batch, runner)
                await gathering.wait(launcher.pool, batch, launcher.worker_id, began)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(queued.wait(), _POLL_SECONDS if runner else _BACK_OFF_SECONDS)


def _choose_runner(launcher: _Launcher) -> Runner | None:
    """Choose the runner of the next batch; None while Prefect is down and may still come back in time."""
    if launcher.prefect_lost_at is None:
        return batch_runner.on_work_pool if settings().launch == "pool" else batch_runner.here
    if time.monotonic() - launcher.prefect_lost_at >= settings().prefect_patience_seconds:
        return batch_runner.without_prefect
    return None


async def _claim(launcher: _Launcher, *, alone_first: bool) -> Batch | None:
    try:
        async with launcher.pool.connection() as conn:
            return await execution_queue.claim(
                conn, launcher.worker_id, settings().batch_limit, alone_first=alone_first
            )
    except db.UNREACHABLE as error:
        log.warning("launch: the database is out of reach (%s)", type(error).__name__)
        await asyncio.sleep(_BACK_OFF_SECONDS)
        return None


async def _start(launcher: _Launcher, batch: Batch, runner: Runner) -> None:
    """Start a run. Returns when its `validate` has begun, when it is over, or when Prefect is too slow."""
    with launcher.hub.event(notifications.BEGUN, str(batch.id)) as begun:
        run = asyncio.create_task(runner(batch, begun), name=f"batch {batch.id}")
        launcher.runs.add(run)
        run.add_done_callback(launcher.runs.discard)
        batch_task = asyncio.create_task(_run_batch(launcher, batch, run, begun), name=f"run batch {batch.id}")
        launcher.batches.add(batch_task)
        batch_task.add_done_callback(launcher.batches.discard)
        batch_task.add_done_callback(log_unexpected_end)
        waiting = asyncio.create_task(begun.wait())
        # A run that does not begin must not block the queue, which may be run without Prefect.
        begin_timeout = (
            None
            if runner is batch_runner.on_work_pool
            else min(batch_runner.BEGIN_SECONDS, settings().prefect_patience_seconds)
        )
        try:
            await asyncio.wait({batch_task, waiting}, timeout=begin_timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not (begun.is_set() or run.done()):
            _mark_prefect_lost(launcher, "it does not begin")
            run.cancel()
            await asyncio.wait({batch_task})


async def _run_batch(launcher: _Launcher, batch: Batch, run: asyncio.Task[None], begun: asyncio.Event) -> None:
    """Wait for the end of a run, then release its unfinished executions, which are claimed again, alone if need be."""
    await asyncio.wait({run})
    error = None if run.cancelled() else run.exception()
    if error:
        # Prefect could not be reached, or gave up. The error's text may quote anything, so only its type and place are
        # logged.
        log.error("launch: batch %s ended with %s", batch.id, place_of(error))
        if not begun.is_set():
            _mark_prefect_lost(launcher, type(error).__name__)
    if error or not begun.is_set():
        await asyncio.sleep(_BACK_OFF_SECONDS)
    released = await db.retry_until_committed(
        launcher.pool, lambda conn: execution_queue.release(conn, batch, launcher.worker_id)
    )
    if released:
        log.warning("launch: batch %s handed back %d executions", batch.id, len(released))


def _mark_prefect_lost(launcher: _Launcher, reason: str) -> None:
    if launcher.prefect_lost_at is None:
        log.warning("launch: Prefect is away (%s)", reason)
        launcher.prefect_lost_at = time.monotonic()


async def _probe_prefect(launcher: _Launcher) -> None:
    """While Prefect is down, ask whether it is back."""
    while True:
        await asyncio.sleep(_BACK_OFF_SECONDS)
        if launcher.prefect_lost_at is not None and await batch_runner.is_prefect_there():
            log.warning("launch: Prefect is back after %.0f s", time.monotonic() - launcher.prefect_lost_at)
            launcher.prefect_lost_at = None
            launcher.hub.publish(notifications.QUEUED)


async def _recover(launcher: _Launcher, clients: PaymentClients) -> None:
    while True:
        try:
            counts = await recovery.recover(launcher.pool, clients, launcher.worker_id)
            if any(astuple(counts)):
                log.info("recovery: %s", counts)
            if counts.freed:
                launcher.freed.set()
        except db.UNREACHABLE as error:
            log.warning("recovery: the database is out of reach (%s)", type(error).__name__)
        await asyncio.sleep(settings().recovery_seconds)


async def _sync_prices(launcher: _Launcher) -> None:
    """Sync the catalog when a call has failed for its price. The timer is for what was asked for too soon."""
    with launcher.hub.event(notifications.OUTDATED) as outdated:
        while True:
            outdated.clear()
            try:
                await price_sync.run_if_asked(launcher.pool, reprice)
            except db.UNREACHABLE as error:
                log.warning("launch: the database is out of reach (%s)", type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(outdated.wait(), _SYNC_PRICES_SECONDS)


async def _tell_webhooks(launcher: _Launcher) -> None:
    """Post what creators' programs are waiting for. The flow `notice` does the same every hour."""
    while True:
        try:
            await posting.post(launcher.pool)
        except db.UNREACHABLE as error:
            log.warning("launch: the database is out of reach (%s)", type(error).__name__)
        await asyncio.sleep(_TELL_SECONDS)


async def _close_runs(launcher: _Launcher) -> None:
    """End finished runs in Prefect. Separate from recovery, which must neither wait for Prefect nor fail with it.

    Runs at the start, whenever recovery frees something, and on a timer. The flow `recovery` does the same.
    """
    from tasks import unfinished_runs

    while True:
        launcher.freed.clear()
        closing = asyncio.create_task(unfinished_runs.close(launcher.pool))
        try:
            await asyncio.wait({closing})
        finally:
            closing.cancel()
        if error := closing.exception():
            log.error("launch: Prefect was not told which runs are over (%s)", place_of(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(launcher.freed.wait(), _CLOSE_RUNS_SECONDS)
