"""The ways to carry a batch: a flow run in this process, one on a work pool, or, with Prefect away, none at all.

Each is given the batch and an event that Postgres sets when its `validate` has begun, and returns when it is over.
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
"""What `prefect deploy` makes of prefect.yaml, for a work pool."""

BEGIN_SECONDS = 15.0
"""How long a run in this process may take to begin, before Prefect counts as away."""

_POLL_SECONDS = 2.0
_ASK_SECONDS = 2.0
# How long a stopping process waits for Prefect to hear how its runs ended.
_TELL_PREFECT_SECONDS = 5.0


async def here(batch: Batch, _begun: asyncio.Event) -> None:
    """A flow run in this process."""
    # Its state is returned, not raised: what failed is handed back.
    running: object = _in_this_process()(batch.execution_ids, batch.id, return_state=True)
    await cast(Awaitable[object], running)


@cache
def _in_this_process() -> "Flow[[list[UUID], UUID], Coroutine[Any, Any, State[None]]]":
    """The flow with its result storage named. It stores nothing; but else it asks the server twice where it would."""
    return flow.instant_execution.with_options(result_storage=get_current_settings().results.local_storage_path)


async def on_a_pool(batch: Batch, begun: asyncio.Event) -> None:
    """A flow run on a work pool; over for us when it has begun, because from then on its own process owns the batch."""
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
    """The same steps in this process, with nobody to show them to."""
    await flow.without_prefect(batch.execution_ids, batch.id)


async def is_prefect_there() -> bool:
    """Whether its server answers, and soon."""
    try:
        async with asyncio.timeout(_ASK_SECONDS), get_client() as prefect:
            return await prefect.api_healthcheck() is None
    except TimeoutError:
        return False


@asynccontextmanager
async def prefect_clients() -> AsyncIterator[None]:
    """Both clients once for all runs, to the end of the last: each would build its own, with a blocked event loop.

    Prefect sends logs and events, and with them how tasks ended, from queues that it empties at exit; but a process
    that ends by a signal, as uvicorn's do, has no such exit.
    """
    # Its server lists every run; a line on the terminal with the URL of each would bury what the process has to say.
    logging.getLogger("prefect.engine").setLevel(logging.WARNING)
    # We detect dead processes ourselves (core/process/worker.py); Prefect would use one thread and event for each run.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        async with AsyncClientContext.get_or_create():
            with SyncClientContext.get_or_create():
                yield
    for sender in (APILogWorker, EventsWorker):
        # Prefect's type is for both kinds of caller; on a running loop it is awaitable.
        await cast(Awaitable[object], sender.drain_all(timeout=_TELL_PREFECT_SECONDS))
