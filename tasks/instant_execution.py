"""The five steps of a paid call. Four are one task run for the whole batch; `call` is one per execution.

Values between steps are wrapped in `Private`: Prefect searches everything else for futures, field by field.
"""

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
from core.failures import Fault
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
