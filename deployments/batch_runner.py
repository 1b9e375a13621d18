"""Run a batch: as a flow run in this process, as one on a work pool, or without Prefect.

Each runner gets the batch and an event that Postgres sets when its `validate` has begun, and returns when the run ends.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, cast
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import AsyncClientContext, SyncClientContext
from prefect.deployments import arun_deployment
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings

from core.executions.queue import Batch
from flows import instant_execution as flow

Runner = Callable[[Batch, asyncio.Event], Coroutine[Any, Any, None]]

DEPLOYMENT = "instant_execution/pool"
"""The deployment that `prefect deploy` makes from prefect.yaml, for a work pool."""

BEGIN_SECONDS = 15.0
"""How long a run in this process may take to begin, before Prefect counts as down."""

_POLL_SECONDS = 2.0
_ASK_SECONDS = 2.0
# How long a stopping process waits until Prefect has received its runs' last events.
_TELL_PREFECT_SECONDS = 5.0


async def here(batch: Batch, _begun: asyncio.Event) -> None:
    """Run the batch as a flow run in this process."""
    # The state is returned and not raised: unfinished executions are released in any case.
    running: object = _in_this_process()(batch.execution_ids, batch.id, return_state=True)
    await cast(Awaitable[object], running)


@cache
def _in_this_process() -> "Flow[[list[UUID], UUID], Coroutine[Any, Any, State[None]]]":
    """Name the flow's result storage. It stores nothing, but without a name Prefect asks its server twice for it."""
    return flow.instant_execution.with_options(result_storage=get_current_settings().results.local_storage_path)


async def on_a_pool(batch: Batch, begun: asyncio.Event) -> None:
    """Run the batch on a work pool. Returns when the run has begun, because from then on its process owns the batch."""
    parameters = {"execution_ids": [str(one) for one in batch.execution_ids], "batch_id": str(batch.id)}
    run = await arun_deployment(
        DEPLOYMENT,
        flow_run_name=flow.name_of(batch.execution_ids),
        parameters=parameters,
        timeout=0,
        as_subflow=False,
        idempotency_key=str(batch.id),
    )
    async with get_client() as prefect:
        while not (begun.is_set() or (run.state and run.state.is_final())):
            try:
                await asyncio.wait_for(begun.wait(), _POLL_SECONDS)
            except TimeoutError:
                run = await prefect.read_flow_run(run.id)


async def without_prefect(batch: Batch, _begun: asyncio.Event) -> None:
    """Run the same steps in this process, without a flow run."""
    await flow.without_prefect(batch.execution_ids, batch.id)


async def is_prefect_there() -> bool:
    """Whether Prefect's server answers in time."""
    try:
        async with asyncio.timeout(_ASK_SECONDS), get_client() as prefect:
            return await prefect.api_healthcheck() is None
    except TimeoutError:
        return False


@asynccontextmanager
async def prefect_clients() -> AsyncIterator[None]:
    """Share both Prefect clients between all runs, until the last one ends.

    Each run would otherwise build clients of its own, which blocks the event loop.

    Prefect sends logs and events, which include the end of tasks, from queues that it empties at exit. A process that
    ends by a signal, as uvicorn's do, has no such exit, so the queues are emptied here.
    """
    # Prefect's server lists every run; one line per run on the terminal would bury our own output.
    logging.getLogger("prefect.engine").setLevel(logging.WARNING)
    # We detect dead processes ourselves (core/process/worker.py); Prefect would use one thread and event for each run.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        async with AsyncClientContext.get_or_create():
            with SyncClientContext.get_or_create():
                yield
    for sender in (APILogWorker, EventsWorker):
        # Prefect's type covers sync and async callers; on a running loop the result is awaitable.
        await cast(Awaitable[object], sender.drain_all(timeout=_TELL_PREFECT_SECONDS))
