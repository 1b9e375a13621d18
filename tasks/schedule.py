"""What every scheduled flow has in common: it runs alone, and our database knows when it last succeeded."""

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
Flowing = Callable[P, Coroutine[Any, Any, State[None]]]


def scheduled(function: Flowing[P]) -> Flowing[P]:
    """Run the function of a scheduled flow only where no other run of it goes on, and note that it succeeded.

    A run that finds another, or that was due before one that has succeeded, ends as Completed with the name Skipped.
    After a pause Prefect starts every run that was missed: one does their work. Somebody who starts a run means it, so
    it is skipped only while another goes on.

    Args:
        function: of a flow of the same name, under `prefect.flow`.
    """

    @wraps(function)
    async def alone(*args: P.args, **kwargs: P.kwargs) -> State[None]:
        run, name = _this_run(), function.__name__
        due = run.expected_start_time if run.auto_scheduled else None
        async with (
            db.pool() as pool,
            worker.registered(pool, "schedule", run.id),
            scheduled_runs.alone(name) as conn,
        ):
            if conn is None:
                return _skipped(f"another run of {name} is going on")
            if not await scheduled_runs.begin(conn, name, deployment_id=run.deployment_id, due=due):
                return _skipped("a run that began after this one was due has succeeded")
            state = await function(*args, **kwargs)
            if state.is_completed():
                await scheduled_runs.succeed(conn, name)
            return state

    return guarded(alone)


def _this_run() -> FlowRun:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("a scheduled flow's function is run by its flow")
    return context.flow_run


def _skipped(why: str) -> State[None]:
    return Completed(name="Skipped", message=why)
