"""Tasks of the flow `cost_backfill`."""

from core import db
from core.providers import client as provider_client
from core.spend import cost_backfill
from core.spend.cost_backfill import Reconciled
from tasks.policy import step


@step()
async def reconcile() -> Reconciled:
    """Ask the providers for unknown costs of calls."""
    async with db.pool() as pool, provider_client.connections():
        return await cost_backfill.reconcile(pool)
