"""The rules for every scheduled flow: one run at a time, a record of the last success, a name and two lines of log."""

from collections.abc import Callable, Coroutine
from datetime import UTC
from functools import wraps
from typing import Any, ParamSpec

from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.states import Completed

from core import db
from core.process import scheduled_runs, worker
from tasks import prefect_adapter
from tasks.policy import guarded

P = ParamSpec("P")
FlowFunction = Callable[P, Coroutine[Any, Any, State[None]]]


def run_name() -> str:
    """Name a run of a scheduled flow: `catalog-sync 2026-11-28 14:00`, by when it was due (UTC)."""
    return f"{flow_run.flow_name.replace('_', '-')} {flow_run.scheduled_start_time.astimezone(UTC):%Y-%m-%d %H:%M}"


def scheduled(function: FlowFunction[P]) -> FlowFunction[P]:
    """Run a scheduled flow's function only if no other run of it is active, and record its success.

    A run ends as Completed with the name Skipped if another one is active, or if a run that began after it was due has
    succeeded. After a pause Prefect starts every run that was missed: one does their work. A run that somebody started
    by hand is skipped only while another one is active.

    Args:
        function: the function of a flow of the same name, below `prefect.flow`.
    """

    @wraps(function)
    async def run_and_tell(*args: P.args, **kwargs: P.kwargs) -> State[None]:
        prefect_adapter.tell_run("begins")
        state = await run_exclusively(*args, **kwargs)
        if not state.is_failed():  # of a failed one Prefect writes a line itself
            prefect_adapter.tell_run(f"ends: {state.message}")
        return state

    async def run_exclusively(*args: P.args, **kwargs: P.kwargs) -> State[None]:
        run, name = _this_run(), function.__name__
        due = run.expected_start_time if run.auto_scheduled else None
        async with (
            db.pool() as pool,
            worker.registered(pool, "schedule", run.id),
            scheduled_runs.hold_lock(name) as conn,
        ):
            if conn is None:
                return _skipped(f"another run of {name} is going on")
            if not await scheduled_runs.begin(conn, name, deployment_id=run.deployment_id, due=due):
                return _skipped("a run that began after this one was due has succeeded")
            state = await function(*args, **kwargs)
            if state.is_completed():
                await scheduled_runs.succeed(conn, name)
            return state

    return guarded(run_and_tell)


def _this_run() -> FlowRun:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("a scheduled flow's function is run by its flow")
    return context.flow_run


def _skipped(reason: str) -> State[None]:
    return Completed(name="Skipped", message=reason)
