"""End Prefect runs that no process will end: their process was killed, or a later run replaces them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled, Completed, Crashed
from pydantic import BaseModel, Field, ValidationError

from core import db
from core.executions import queue as execution_queue
from core.executions.queue import Batch
from core.process import scheduled_runs, worker
from core.process.scheduled_runs import ScheduleRecord
from core.process.worker import Heartbeat
from core.settings import settings

_MOST = 200
_PROCESS_GONE = "Its process is gone; another run takes over what it did not finish."
_UNFINISHED_TASK = TaskRunFilter(
    state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING]))
)
# The states between a process taking a run and the run's end. A scheduled flow's run that is still Scheduled belongs to
# no process: the one that serves its deployment takes it.
TAKEN_STATES = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


class _Parameters(BaseModel):
    """The parameters that a launcher starts a run with."""

    execution_ids: list[UUID] = Field(min_length=1)
    batch_id: UUID


async def close(pool: db.Pool) -> int:
    """End unfinished runs in Prefect that have no process any more, oldest first; return their number.

    Takes the pool: Prefect is asked before and updated after our database is read. A run that ends in between keeps its
    end, because Prefect rejects any state after a final one unless it is forced.
    """
    async with get_client() as prefect:
        async with pool.connection() as conn:
            records = await scheduled_runs.records(conn)
        dead_runs = [*await _dead_execution_runs(prefect, pool), *await _dead_schedule_runs(prefect, pool, records)]
        if dead_runs:
            dead_filter = FlowRunFilter(id=FlowRunFilterId(any_=[run.id for run in dead_runs]))
            for task in await prefect.read_task_runs(flow_run_filter=dead_filter, task_run_filter=_UNFINISHED_TASK):
                await prefect.set_task_run_state(task.id, Crashed(message=_PROCESS_GONE))
        for run in dead_runs:
            await end(prefect, run)
        await _skip_missed(prefect, records)
    return len(dead_runs)


async def end(prefect: PrefectClient, run: FlowRun) -> None:
    """Mark a run as Crashed, or as Cancelled if that was requested: then Prefect accepts nothing else."""
    state = Cancelled if run.state and run.state.is_cancelling() else Crashed
    await prefect.set_flow_run_state(run.id, state(message=_PROCESS_GONE))


async def _dead_execution_runs(prefect: PrefectClient, pool: db.Pool) -> list[FlowRun]:
    """Find runs of `instant_execution` whose batch is over or has lost its owner."""
    runs = await _unfinished(prefect, ["instant_execution"], [StateType.SCHEDULED, *TAKEN_STATES])
    batches = [(run, batch) for run in runs if (batch := _batch(run))]
    async with pool.connection() as conn:
        orphaned_ids = await execution_queue.orphaned(conn, [batch for _, batch in batches])
    return [run for run, batch in batches if batch.id in orphaned_ids]


async def _dead_schedule_runs(
    prefect: PrefectClient, pool: db.Pool, records: Mapping[str, ScheduleRecord]
) -> list[FlowRun]:
    """Find runs of scheduled flows without a living process, after a silence of INSTANT_RUN_SILENCE_SECONDS.

    A run is ours if it comes from a deployment of ours, or ever had a process of ours. The silence covers the moments
    between Pending and the process's first heartbeat, and between its last heartbeat and the final state. Meanwhile the
    run blocks no other run.
    """
    runs = await _unfinished(prefect, list(records), TAKEN_STATES)
    async with pool.connection() as conn:
        heartbeats = await worker.heartbeats(conn, [run.id for run in runs])
    our_deployments = _deployments(records)
    bound = datetime.now(UTC) - timedelta(seconds=settings().run_silence_seconds)
    return [
        run
        for run in runs
        if (run.deployment_id in our_deployments or run.id in heartbeats)
        and _is_silent(run, heartbeats.get(run.id), bound)
    ]


async def _skip_missed(prefect: PrefectClient, records: Mapping[str, ScheduleRecord]) -> None:
    """Skip runs that did not begin before the next one was due, because that one does the work of both.

    Otherwise all missed runs would wait until the deployments are served again, and then start at once, each in a
    process of its own that finds nothing to do.
    """
    missed = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=_deployments(records)),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(before_=datetime.now(UTC)),
    )
    newest: set[UUID | None] = set()
    for run in await prefect.read_flow_runs(
        flow_run_filter=missed, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=_MOST
    ):
        if run.auto_scheduled and run.run_count == 0:
            if run.deployment_id in newest:
                await prefect.set_flow_run_state(run.id, Completed(name="Skipped", message="a later run is due, too"))
            newest.add(run.deployment_id)


def _deployments(records: Mapping[str, ScheduleRecord]) -> list[UUID]:
    """List the ids of our deployments in Prefect."""
    return [record.deployment_id for record in records.values() if record.deployment_id]


def _is_silent(run: FlowRun, heartbeat: Heartbeat | None, silent_since: datetime) -> bool:
    """Whether a run has no living process, and its last sign of life is older than `silent_since`."""
    times = [run.state.timestamp if run.state else None, run.expected_start_time, heartbeat and heartbeat.at]
    return not (heartbeat and heartbeat.is_alive) and max(time for time in times if time) <= silent_since


async def _unfinished(prefect: PrefectClient, flows: list[str], states: list[StateType]) -> list[FlowRun]:
    """Read runs of these flows in one of these states, of any installation, oldest first."""
    return await prefect.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=flows)),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states))),
        sort=FlowRunSort.START_TIME_ASC,
        limit=_MOST,
    )


def _batch(run: FlowRun) -> Batch | None:
    """Read a run's batch; None if no launcher, of any installation, started it."""
    try:
        parameters = _Parameters.model_validate(run.parameters)
    except ValidationError:
        return None
    return Batch(parameters.batch_id, parameters.execution_ids)
