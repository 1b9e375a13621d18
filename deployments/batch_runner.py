"""Run a batch: as a flow run in this process, as one on a work pool, or without Prefect.

Each runner gets the batch and an event that Postgres sets when its `validate` has begun, and returns when the run ends.
Prefect is imported inside the functions: a door that launches nothing does without it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from core.executions.queue import Batch

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import State

Runner = Callable[[Batch, asyncio.Event], Coroutine[Any, Any, None]]

DEPLOYMENT = "instant_execution/pool"
"""The deployment that `prefect deploy` makes from prefect.yaml, for a work pool."""

BEGIN_SECONDS = 15.0
"""How long a run in this process may take to begin, before Prefect counts as down."""

_POLL_SECONDS = 2.0
_HEALTH_SECONDS = 2.0


def load() -> None:
    """Import Prefect and the modules that runs need, so that the first batch does not wait for them."""
    for name in ("flows.instant_execution", "prefect.deployments", "tasks.unfinished_runs"):
        import_module(name)


async def here(batch: Batch, _begun: asyncio.Event) -> None:
    """Run the batch as a flow run in this process."""
    # The state is returned and not raised: unfinished executions are released in any case.
    running: object = _in_this_process()(batch.execution_ids, batch.id, return_state=True)
    await cast(Awaitable[object], running)


@cache
def _in_this_process() -> "Flow[[list[UUID], UUID], Coroutine[Any, Any, State[None]]]":
    """Name the flow's result storage. It stores nothing, but without a name Prefect asks its server twice for it."""
    from prefect.settings import get_current_settings

    from flows import instant_execution as flow

    return flow.instant_execution.with_options(result_storage=get_current_settings().results.local_storage_path)


async def on_work_pool(batch: Batch, begun: asyncio.Event) -> None:
    """Run the batch on a work pool. Returns when the run has begun, because from then on its process owns the batch."""
    from prefect.client.orchestration import get_client
    from prefect.deployments import arun_deployment

    from flows import instant_execution as flow

    parameters = {
        "execution_ids": [str(execution_id) for execution_id in batch.execution_ids],
        "batch_id": str(batch.id),
    }
    run = await arun_deployment(
        DEPLOYMENT,
        flow_run_name=flow.count_calls(len(batch.execution_ids)),  # until it has read what they are
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
    from flows import instant_execution as flow

    await flow.without_prefect(batch.execution_ids, batch.id)


async def is_prefect_there() -> bool:
    """Whether Prefect's server answers in time."""
    from prefect.client.orchestration import get_client

    try:
        async with asyncio.timeout(_HEALTH_SECONDS), get_client() as prefect:
            return await prefect.api_healthcheck() is None
    except TimeoutError:
        return False
