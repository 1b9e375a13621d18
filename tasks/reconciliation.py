"""Reconciliation as a task, for the schedule and for the operator's eyes."""

from core import db, provider, reconciliation
from core.reconciliation import Reconciled
from tasks.policy import step


@step()
async def reconcile() -> Reconciled:
    """Ask what calls of unknown cost were charged."""
    async with db.pool() as pool, provider.connections():
        return await reconciliation.reconcile(pool)
