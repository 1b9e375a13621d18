"""The rules for every task: no cache, no stored results, and a guard against foreign exceptions."""

import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run, task_run

from core.failures import ExecutionFailed, Failure, place_of

log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


def step(
    **policy: Any,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Task[P, Coroutine[Any, Any, R]]]:
    """Make a guarded task of an async function.

    Args:
        policy: arguments for `prefect.task` (retries, timeout_seconds, tags ...).
    """

    def decorate(function: Callable[P, Coroutine[Any, Any, R]]) -> Task[P, Coroutine[Any, Any, R]]:
        options = {"task_run_name": function.__name__, "retry_condition_fn": may_resend, **policy}
        return task(cache_policy=NO_CACHE, persist_result=False, log_prints=False, **options)(guarded(function))

    return decorate


def guarded(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Keep foreign exceptions inside a function that Prefect runs.

    Prefect stores what a task or a flow raises: in its state, its log table and, pickled, its result storage. So an
    exception that is not a `Failure` of ours is replaced by the code `internal_{Type}`, raised after the `except` block
    so that the original is not attached as context. Its type and our own frames are logged. This is the only place
    that catches everything.
    """

    @wraps(function)
    async def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await function(*args, **kwargs)
        except Failure as failure:
            ours = failure
        except Exception as foreign:
            log.error("%s (run %s): %s", function.__name__, task_run.id or flow_run.id, place_of(foreign))
            ours = ExecutionFailed("internal_error", "ours", f"internal_{type(foreign).__name__}")
        raise ours.with_traceback(None) from None

    return inside


def may_resend(_task: Task[..., Any], _run: Any, state: State[Any]) -> bool:
    """Retry only failures that allow a second try."""
    failure = state.data.exception if hasattr(state.data, "exception") else state.data
    return isinstance(failure, ExecutionFailed) and failure.resend
