"""The rules for every scheduled flow: one run at a time, and a record of the last success."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.states import Completed

from core import db
from core.process import scheduled_runs, worker
from tasks.policy import guarded

P = ParamSpec("P")
FlowFunction = Callable[P, Coroutine[Any, Any, State[None]]]


def scheduled(function: FlowFunction[P]) -> FlowFunction[P]:
    """Run a scheduled flow's function only if no other run of it is active, and record its success.

    A run ends as Completed with the name Skipped if another one is active, or if a run that began after it was due has
    succeeded. After a pause Prefect starts every run that was missed: one does their work. A run that somebody started
    by hand is skipped only while another one is active.

    Args:
        function: the function of a flow of the same name, below `prefect.flow`.
    """

    @wraps(function)
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

    return guarded(run_exclusively)


def _this_run() -> FlowRun:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("a scheduled flow's function is run by its flow")
    return context.flow_run


def _skipped(reason: str) -> State[None]:
    return Completed(name="Skipped", message=reason)
