"""Look up unknown costs of calls."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import cost_backfill as step
from tasks.schedule import run_name, scheduled


@flow(name="cost_backfill", flow_run_name=run_name, persist_result=False, log_prints=False)
@scheduled
async def cost_backfill() -> State[None]:
    """Ask the providers for every unknown cost."""
    reconciled = await step.reconcile()
    return Completed(message=f"priced {reconciled.priced} of {reconciled.unpriced}, {reconciled.keyless} without a key")
