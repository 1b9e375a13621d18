"""Visit every product as a stranger, and compare what lists say with its offer."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tasks import listing_check as step
from tasks.schedule import run_name, scheduled


@flow(name="listing_check", flow_run_name=run_name, persist_result=False, log_prints=False)
@scheduled
async def listing_check() -> State[None]:
    """Compare manifests, live offers and readiness; what differs becomes a notice. Failed if some could not be read."""
    checked = await step.visit()
    message = f"{checked.agree} agree, {checked.differ} differ"
    if checked.unread:
        return Failed(message=f"{message}, {checked.unread} could not be read")
    return Completed(message=message)
