"""Prefect runs that nobody will end any more: their process was killed, or somebody scheduled them anew."""

from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Crashed
from pydantic import BaseModel, Field, ValidationError

from core import db
from core.executions import queue as execution_queue
from core.executions.queue import Batch

_MOST = 200
_UNFINISHED = FlowRunFilter(
    state=FlowRunFilterState(
        type=FlowRunFilterStateType(
            any_=[StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
        )
    )
)
_UNFINISHED_TASK = TaskRunFilter(
    state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING]))
)
_NOBODY = "Nobody carries it any more: what was not at rest is taken over by another run."
_OURS = FlowFilter(name=FlowFilterName(any_=["instant_execution"]))


class _Parameters(BaseModel):
    """What a launcher starts a run with."""

    execution_ids: list[UUID] = Field(min_length=1)
    batch_id: UUID


async def close(pool: db.Pool) -> int:
    """Mark as Crashed what Prefect believes to be unfinished and nobody carries, oldest first; how many that were.

    Takes the pool: Prefect is asked before and told after our database is looked at. A run that ends in between keeps
    its end, because Prefect lets nothing follow a final state that is not forced.
    """
    async with get_client() as prefect:
        runs = await prefect.read_flow_runs(
            flow_filter=_OURS, flow_run_filter=_UNFINISHED, sort=FlowRunSort.START_TIME_ASC, limit=_MOST
        )
        batches = {run.id: batch for run in runs if (batch := _batch(run))}
        async with pool.connection() as conn:
            left_behind = await execution_queue.orphaned(conn, list(batches.values()))
        left = [run_id for run_id, batch in batches.items() if batch.id in left_behind]
        if left:
            tasks = await prefect.read_task_runs(
                flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=left)), task_run_filter=_UNFINISHED_TASK
            )
            for task in tasks:
                await prefect.set_task_run_state(task.id, Crashed(message=_NOBODY))
        for run_id in left:
            await prefect.set_flow_run_state(run_id, Crashed(message=_NOBODY))
    return len(left)


def _batch(run: FlowRun) -> Batch | None:
    """What a run carries, if it was started by a launcher, of whatever installation."""
    try:
        said = _Parameters.model_validate(run.parameters)
    except ValidationError:
        return None
    return Batch(said.batch_id, said.execution_ids)
