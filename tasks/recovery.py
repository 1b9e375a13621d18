"""Recovery as a task, for the schedule and for the operator's eyes."""

from core import db, recovery, worker
from core.payment import settlement
from core.recovery import Recovered
from tasks.policy import step


@step()
async def recover() -> Recovered:
    """Free what dead owners held, decide unknown payments, log what is unlogged."""
    async with db.pool() as pool, settlement.settlers() as settlers, worker.alive(pool, "recovery") as worker_id:
        return await recovery.recover(pool, settlers, worker_id)
