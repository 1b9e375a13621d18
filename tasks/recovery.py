"""Tasks of the flow `recovery`."""

from core import db, recovery
from core.payments import settlement
from core.process import worker
from core.recovery import Recovered
from tasks import old_deployments, unfinished_runs
from tasks.policy import step


@step()
async def recover() -> Recovered:
    """Free the executions of dead owners, decide unknown payments, and log finished rounds."""
    async with (
        db.pool() as pool,
        settlement.payment_clients() as clients,
        worker.registered(pool, "schedule") as worker_id,
    ):
        return await recovery.recover(pool, clients, worker_id)


@step()
async def close_runs() -> int:
    """End runs in Prefect whose process was killed."""
    async with db.pool() as pool:
        return await unfinished_runs.close(pool)


@step()
async def remove_old_deployments() -> None:
    """Remove the deployments of earlier versions."""
    async with db.pool() as pool:
        await old_deployments.remove(pool)
