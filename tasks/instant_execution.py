"""The five steps of a paid call. Each is one task run for the whole batch; `call` is one per execution in a small one.

Values between steps are wrapped in `Private`: Prefect searches everything else for futures, field by field.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from prefect import Task
from prefect.runtime import flow_run

from core import db
from core.executions import steps
from core.executions.queue import Batch
from core.executions.steps import Opened, Order, PreparedCall
from core.failures import ExecutionFailed, Fault
from core.process import worker
from core.secrets.private import Private
from core.spend import usage_log
from tasks.policy import step


@step()
async def validate(execution_ids: Sequence[UUID], batch_id: UUID) -> Private[list[Order]]:
    """Begin attempts at the claimed executions of this batch, and read everything about them again."""
    batch = Batch(batch_id, list(execution_ids))
    run_id = UUID(flow_run.id) if flow_run.id else None
    async with db.pool() as pool, worker.registered(pool, "run") as worker_id:
        return Private(await steps.validate(pool, batch, worker_id, run_id))


@step()
async def decrypt(orders: Private[list[Order]]) -> Private[list[tuple[Order, Opened]]]:
    """Open the key, template and inputs of each order."""
    async with db.transaction() as conn:
        return Private(await steps.decrypt(conn, orders.reveal()))


@step()
async def substitute(opened: Private[list[tuple[Order, Opened]]]) -> list[Private[PreparedCall]]:
    """Put the inputs of each order into its template."""
    async with db.transaction() as conn:
        return [Private(call) for call in await steps.substitute(conn, opened.reveal())]


@step(task_run_name="call {execution_id}")
async def call(execution_id: UUID, prepared: Private[PreparedCall]) -> None:
    """Call the model once."""
    async with db.pool() as pool:
        await steps.call(pool, prepared.reveal())


@step(task_run_name="call {named}")
async def call_together(named: str, prepared: Private[list[Private[PreparedCall]]]) -> Private[list[tuple[Fault, str]]]:
    """Call the model once for each execution, with the retries that a task run of its own would have.

    Returns:
        The fault and the code of each call that failed. Its row has the outcome too.
    """
    causes = await asyncio.gather(*(_call_with_retries(one) for one in prepared.reveal()))
    return Private([cause for cause in causes if cause is not None])


async def _call_with_retries(prepared: Private[PreparedCall]) -> tuple[Fault, str] | None:
    cause: tuple[Fault, str] | None = None
    for _ in range(prepared.reveal().most_sends):
        try:
            await call.fn(prepared.reveal().order.id, prepared)
        except ExecutionFailed as failure:
            cause = failure.fault, failure.detail
            if not failure.resend:
                break
        else:
            return None
    return cause


@cache
def call_within(most_sends: int) -> Task[[UUID, Private[PreparedCall]], Coroutine[Any, Any, None]]:
    """The task `call`, retried until so many were sent, and only after a failure that may be sent again."""
    return call.with_options(retries=most_sends - 1)


async def causes(execution_ids: list[UUID]) -> list[tuple[Fault, str]]:
    """Read why executions failed that were never sent. No task: few runs need it."""
    async with db.transaction() as conn:
        return await steps.causes(conn, execution_ids)


@step(retries=2, retry_delay_seconds=1)
async def log(execution_ids: Sequence[UUID]) -> None:
    """Write the usage rows of finished executions."""
    async with db.transaction() as conn:
        await usage_log.append(conn, execution_ids)
