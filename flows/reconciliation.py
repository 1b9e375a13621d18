"""Look up unknown costs of calls."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import reconciliation as step
from tasks.schedule import scheduled


@flow(name="reconciliation", persist_result=False, log_prints=False)
@scheduled
async def reconciliation() -> State[None]:
    """Ask the providers for every unknown cost."""
    reconciled = await step.reconcile()
    return Completed(message=f"priced {reconciled.priced} of {reconciled.unpriced}, {reconciled.keyless} without a key")
