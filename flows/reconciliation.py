"""The flow that learns what lost calls cost."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import reconciliation as step
from tasks.schedule import scheduled


@flow(name="reconciliation", persist_result=False, log_prints=False)
@scheduled
async def reconciliation() -> State[None]:
    """Ask the provider for every cost that nobody knows yet."""
    done = await step.reconcile()
    return Completed(message=f"priced {done.priced} of {done.asked}, {done.keyless} without a key")
