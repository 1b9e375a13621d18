"""The five steps of a paid call. Four are one task run for the whole list; `call` is one per execution."""

from collections.abc import Sequence
from uuid import UUID

from prefect.runtime import flow_run

from core import db, instant_execution, usage, worker
from core.execution import Batch
from core.instant_execution import Opened, Order, Prepared
from core.private import Private
from tasks.policy import step


@step()
async def validate(execution_ids: Sequence[UUID], batch_id: UUID) -> list[Order]:
    """Take what is claimed for this batch and not yet running; read everything again."""
    run_id = UUID(flow_run.id) if flow_run.id else None
    async with db.pool() as pool, worker.alive(pool, "run") as worker_id:
        return await instant_execution.validate(pool, Batch(batch_id, list(execution_ids)), worker_id, run_id)


@step()
async def decrypt(orders: Sequence[Order]) -> list[tuple[Order, Private[Opened]]]:
    """Open key, template and inputs."""
    async with db.transaction() as conn:
        return await instant_execution.decrypt(conn, orders)


@step()
async def substitute(opened: Sequence[tuple[Order, Private[Opened]]]) -> list[Prepared]:
    """Put the inputs into the templates."""
    async with db.transaction() as conn:
        return await instant_execution.substitute(conn, opened)


@step(retries=1)
async def call(prepared: Prepared) -> None:
    """Ask the model; at most one re-send, and only of what says that it may be sent again."""
    async with db.pool() as pool:
        await instant_execution.call(pool, prepared)


@step(retries=2, retry_delay_seconds=1)
async def log(execution_ids: Sequence[UUID]) -> None:
    """Write the usage rows."""
    async with db.transaction() as conn:
        await usage.log(conn, execution_ids)
