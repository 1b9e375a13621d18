"""Recovery as tasks, for the schedule and for the operator's eyes."""

from core import db, recovery
from core.payments import settlement
from core.process import worker
from core.recovery import Recovered
from tasks import old_deployments, unfinished_runs
from tasks.policy import step


@step()
async def recover() -> Recovered:
    """Free what dead owners held, decide unknown payments, log what is unlogged."""
    async with (
        db.pool() as pool,
        settlement.payment_clients() as clients,
        worker.registered(pool, "schedule") as worker_id,
    ):
        return await recovery.recover(pool, clients, worker_id)


@step()
async def close_runs() -> int:
    """Tell Prefect which of its runs are over because their process was killed."""
    async with db.pool() as pool:
        return await unfinished_runs.close(pool)


@step()
async def remove_old_deployments() -> None:
    """Let what an earlier version deployed run no more."""
    async with db.pool() as pool:
        await old_deployments.remove(pool)
