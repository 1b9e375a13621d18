"""Run paid executions to their answers: the product on one screen."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from core import db
from core.executions.steps import Order, PreparedCall
from core.failures import ExecutionFailed, Fault
from core.process import worker
from core.providers import client as provider_client
from core.secrets.private import Private
from core.settings import settings
from tasks import instant_execution as step
from tasks import prefect_adapter
from tasks.policy import guarded
from tasks.prefect_adapter import run

# A run's tags name its creators, unless there are too many: every event about the run repeats them.
_MOST_CREATORS = 10
_MOST_NAMED = 3
# A run that is over waits so long for its name, if Prefect is slow.
_NAMING_SECONDS = 2.0


def count_calls(number: int) -> str:
    """Name a run before it is known what it carries: `1 call`, `12 calls`."""
    return "1 call" if number == 1 else f"{number} calls"


def name_of(products: Sequence[str]) -> str:
    """Name a run by what it carries: `@demo/haiku`, `12 calls: @demo/haiku`, or `12 calls: @demo/haiku ×10, …`."""
    counts = Counter(products)
    if len(products) == 1:
        return products[0]
    if len(counts) <= 1:
        return ": ".join([count_calls(len(products)), *counts])
    named = [f"{product} ×{count}" if count > 1 else product for product, count in counts.most_common(_MOST_NAMED)]
    return f"{count_calls(len(products))}: {', '.join(named)}{', …' if len(counts) > _MOST_NAMED else ''}"


def tags_of(orders: Sequence[Order]) -> set[str]:
    """Tag a run by kind (`paid`, `test`) and creator (`@demo`), so that Prefect's pages can be filtered by them."""
    kinds = {"paid" if order.is_paid else "test" for order in orders}
    creators = {f"@{order.version.handle}" for order in orders}
    return kinds | (creators if len(creators) <= _MOST_CREATORS else set())


@flow(name="instant_execution", persist_result=False, log_prints=False)
@guarded
async def instant_execution(execution_ids: list[UUID], batch_id: UUID) -> State[None]:
    """Run a batch of claimed executions from their rows to their answers.

    One failed call fails only its own task run. Its row holds the reason, and the others continue. The run is Failed if
    every call failed and no buyer was at fault.
    """
    async with db.pool() as pool, worker.registered(pool, "run"), provider_client.connections():
        orders = await run(step.validate, execution_ids, batch_id)
        ids = _all_ids(execution_ids, orders)
        prefect_adapter.tell_run(f"begins: {name_of([order.product for order in orders.reveal()])}")
        opened = await run(step.decrypt, orders)
        prepared = await run(step.substitute, opened)
        updating = asyncio.create_task(_update_run(orders.reveal(), ids, batch_id))
        calls = await _call(prepared)
        await _log(ids, after=calls)
        await asyncio.wait({updating}, timeout=_NAMING_SECONDS)
        updating.cancel()
        await asyncio.gather(updating, return_exceptions=True)
        state = await _final_state(orders.reveal(), prepared, calls)
    if not state.is_failed():  # of a failed one Prefect writes a line itself
        prefect_adapter.tell_run(f"ends: {state.message}")
    return state


async def without_prefect(execution_ids: list[UUID], batch_id: UUID) -> None:
    """Run the same steps as the tasks' plain functions, after Prefect has been down for too long."""
    async with db.pool() as pool, worker.registered(pool, "run"), provider_client.connections():
        orders = await step.validate.fn(execution_ids, batch_id)
        opened = await step.decrypt.fn(orders)
        prepared = await step.substitute.fn(opened)
        await step.call_together.fn(f"{len(prepared)} executions", Private(prepared))
        await step.log.fn(_all_ids(execution_ids, orders))


def _all_ids(execution_ids: Sequence[UUID], orders: Private[list[Order]]) -> list[UUID]:
    """List the executions that the run was started with, and those that joined when it began."""
    return list(dict.fromkeys([*execution_ids, *(order.id for order in orders.reveal())]))


async def _final_state(
    orders: Sequence[Order], prepared: Sequence[Private[PreparedCall]], calls: Sequence[State[Any]]
) -> State[None]:
    """Build the run's state: count the failures by code and fault. A buyer's fault is an answer, as for the money."""
    sent = {call.reveal().order.id for call in prepared}
    unsent = [order.id for order in orders if order.id not in sent]
    causes = [cause for call in calls for cause in await _causes(call)]
    if unsent:
        known = await step.causes(unsent)
        causes += known
        causes += [("ours", "not_ready")] * (len(unsent) - len(known))
    declined = sum(fault == "buyer" for fault, _ in causes)
    failed = Counter(f"{detail} ({fault})" for fault, detail in causes if fault != "buyer")
    tail = f"{declined} declined" if declined else ""
    if not failed:
        return Completed(message=", ".join(filter(None, [f"{len(orders) - declined} answered", tail])))
    counts = ", ".join(f"{count} {cause}" for cause, count in failed.most_common())
    message = "; ".join(filter(None, [f"{failed.total()} of {len(orders)} failed: {counts}", tail]))
    if failed.total() == len(orders):
        return Failed(message=message)
    return Completed(name="CompletedWithFailures", message=message)


async def _causes(call: State[Any]) -> list[tuple[Fault, str]]:
    """Tell why calls failed, from the state of the task run that made them."""
    result: object = await call.aresult(raise_on_failure=False)
    if isinstance(result, Private):
        causes: list[tuple[Fault, str]] = result.reveal()
        return causes
    if call.is_completed():
        return []
    return [(result.fault, result.detail) if isinstance(result, ExecutionFailed) else ("ours", "crashed")]


async def _update_run(orders: Sequence[Order], execution_ids: Sequence[UUID], batch_id: UUID) -> None:
    """Give the run its name, tags and ids while its calls run. `flow_run_name` would delay them by a request.

    With Prefect down, the run keeps its first name.
    """
    if not orders:
        return
    parameters = {"execution_ids": [str(execution_id) for execution_id in execution_ids], "batch_id": str(batch_id)}
    name = name_of([order.product for order in orders])
    async with get_client() as prefect:
        await prefect.update_flow_run(UUID(flow_run.id), name=name, tags=tags_of(orders), parameters=parameters)


async def _log(execution_ids: Sequence[UUID], *, after: Sequence[State[Any]]) -> None:
    """Write the usage rows, shown after the calls in the run's graph."""
    logged = await prefect_adapter.run_task(step.log, {"execution_ids": execution_ids}, after=after)
    if not logged.is_completed():
        await logged.aresult()  # raises its failure


async def _call(prepared: Sequence[Private[PreparedCall]]) -> list[State[Any]]:
    """Run the calls, each as a task run of its own, or together as one where they are more than INSTANT_CALL_TASKS."""
    if len(prepared) > settings().call_tasks:
        together = {"named": f"{len(prepared)} executions", "prepared": Private(list(prepared))}
        return [await prefect_adapter.run_task(step.call_together, together)]
    return await asyncio.gather(*(_call_one(call) for call in prepared))


async def _call_one(prepared: Private[PreparedCall]) -> State[Any]:
    """Run one call as a task run of its own, named after its execution.

    It has no tags: for each task run with tags, Prefect asks its server for a concurrency slot, and keeps a thread and
    a client for every set of tags it has seen.
    """
    parameters = {"execution_id": prepared.reveal().order.id, "prepared": prepared}
    return await prefect_adapter.run_task(step.call_within(prepared.reveal().most_sends), parameters)
