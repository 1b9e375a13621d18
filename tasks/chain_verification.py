"""Tasks of the flow `chain_verification`."""

from core import db
from core.payments import chain_verification, restored, settlement
from core.payments.chain_verification import Verified
from core.payments.restored import Looked
from tasks.policy import step


@step()
async def verify() -> Verified:
    """Compare paid payments with the chain."""
    async with db.pool() as pool, settlement.payment_clients() as clients:
        return await chain_verification.verify(pool, clients)


@step()
async def find_restored() -> Looked:
    """Look for what was sold between a backup and its restore, if there was one."""
    async with db.pool() as pool, settlement.payment_clients() as clients:
        return await restored.find(pool, clients)
