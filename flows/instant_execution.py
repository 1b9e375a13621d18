"""The product on one screen: from paid executions to their answers."""

import asyncio
from collections.abc import Awaitable
from typing import cast
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from core import db
from core.instant_execution import Prepared
from tasks import instant_execution as step


def _name() -> str:
    """`1f0c2a9e` for a single execution, `1f0c2a9e and 11 more` for a burst."""
    first, *others = flow_run.parameters["execution_ids"]
    return f"{str(first)[:8]} and {len(others)} more" if others else str(first)[:8]


@flow(name="instant_execution", flow_run_name=_name, persist_result=False, log_prints=False)
async def instant_execution(execution_ids: list[UUID]) -> State[None]:
    """Carry a list of claimed executions from their rows to their answers.

    What fails alone is red alone: its `call` task failed, its row says why, and the others go on.
    """
    async with db.pool():
        orders = await step.validate(execution_ids)
        opened = await step.decrypt(orders)
        prepared = await step.substitute(opened)
        calls = await asyncio.gather(*(_call(one) for one in prepared))
        await step.log(execution_ids)
    answered = sum(state.is_completed() for state in calls)
    failed = len(orders) - answered
    if failed:
        return Completed(name="CompletedWithFailures", message=f"{failed} of {len(orders)} failed")
    return Completed(message=f"{answered} answered")


async def _call(prepared: Prepared) -> State[None]:
    """One call as a task run of its own, found by its execution and its creator."""
    order = prepared.order
    named = step.call.with_options(
        task_run_name=f"call {order.id}",
        tags=[f"execution:{order.id}", f"creator:{order.version.handle}", f"resource:{order.version.slug}"],
    )
    # Prefect's overload for return_state forgets that an async task is awaited.
    running = cast(Awaitable[State[None]], named(prepared, return_state=True))
    return await running
