"""Run paid executions to their answers: the product on one screen."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from core import db
from core.executions.steps import Order, PreparedCall
from core.failures import ExecutionFailed
from core.process import worker
from core.providers import client as provider_client
from core.secrets.private import Private
from tasks import instant_execution as step
from tasks import prefect_adapter
from tasks.policy import guarded


def name_of(execution_ids: Sequence[UUID]) -> str:
    """Name a run: `1f0c2a9e` for a single execution, `1f0c2a9e and 11 more` for a burst."""
    first, *others = execution_ids
    return f"{str(first)[:8]} and {len(others)} more" if others else str(first)[:8]


@flow(name="instant_execution", persist_result=False, log_prints=False)
@guarded
async def instant_execution(execution_ids: list[UUID], batch_id: UUID) -> State[None]:
    """Run a batch of claimed executions from their rows to their answers.

    One failed call fails only its own task run. Its row holds the reason, and the others continue.
    """
    async with db.pool() as pool, worker.registered(pool, "run"), provider_client.connections():
        orders = await step.validate(execution_ids, batch_id)
        ids = _all_ids(execution_ids, orders)
        opened = await step.decrypt(orders)
        prepared = await step.substitute(opened)
        updating = asyncio.create_task(_update_run(ids, batch_id))
        calls = await asyncio.gather(*(_call(call) for call in prepared))
        updating.cancel()
        await asyncio.gather(updating, return_exceptions=True)
        await step.log(ids)
    return await _final_state(len(orders.reveal()), calls)


async def without_prefect(execution_ids: list[UUID], batch_id: UUID) -> None:
    """Run the same steps as the tasks' plain functions, after Prefect has been down for too long."""
    async with db.pool() as pool, worker.registered(pool, "run"), provider_client.connections():
        orders = await step.validate.fn(execution_ids, batch_id)
        opened = await step.decrypt.fn(orders)
        prepared = await step.substitute.fn(opened)
        await asyncio.gather(*(_call_without_prefect(call) for call in prepared))
        await step.log.fn(_all_ids(execution_ids, orders))


def _all_ids(execution_ids: Sequence[UUID], orders: Private[list[Order]]) -> list[UUID]:
    """List the executions that the run was started with, and those that joined when it began."""
    return list(dict.fromkeys([*execution_ids, *(order.id for order in orders.reveal())]))


async def _final_state(began: int, calls: Sequence[State[None]]) -> State[None]:
    """Build the run's state: count the failures by code. An execution that was never ready to be sent has no call."""
    causes = Counter("not_ready" for _ in range(began - len(calls)))
    causes.update([await _cause(call) for call in calls if not call.is_completed()])
    if not causes:
        return Completed(message=f"{began} answered")
    counts = ", ".join(f"{count} {cause}" for cause, count in causes.most_common())
    return Completed(name="CompletedWithFailures", message=f"{causes.total()} of {began} failed: {counts}")


async def _cause(call: State[None]) -> str:
    failure: object = await call.aresult(raise_on_failure=False)
    if not isinstance(failure, ExecutionFailed):
        return "crashed"
    return "declined" if failure.fault == "buyer" else failure.detail


async def _update_run(execution_ids: Sequence[UUID], batch_id: UUID) -> None:
    """Give the run its final name and ids while its calls run. `flow_run_name` would delay them by a request.

    The run does not wait for this: with Prefect down, it keeps its first name.
    """
    parameters = {"execution_ids": [str(execution_id) for execution_id in execution_ids], "batch_id": str(batch_id)}
    async with get_client() as prefect:
        await prefect.update_flow_run(UUID(flow_run.id), name=name_of(execution_ids), parameters=parameters)


async def _call(prepared: Private[PreparedCall]) -> State[None]:
    """Run one call as a task run of its own, named after its execution.

    It has no tags: for each task run with tags, Prefect asks its server for a concurrency slot, and keeps a thread and
    a client for every set of tags it has seen.
    """
    parameters = {"execution_id": prepared.reveal().order.id, "prepared": prepared}
    return await prefect_adapter.run_task(step.call_within(prepared.reveal().most_sends), parameters)


async def _call_without_prefect(prepared: Private[PreparedCall]) -> None:
    """Run one call with the retries that its task would have; its row records the outcome."""
    for _ in range(prepared.reveal().most_sends):
        try:
            return await step.call.fn(prepared.reveal().order.id, prepared)
        except ExecutionFailed as failure:
            if not failure.resend:
                return
