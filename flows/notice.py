"""Send notices to creators and the operator."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import notice as step
from tasks.schedule import run_name, scheduled


@flow(name="notice", flow_run_name=run_name, persist_result=False, log_prints=False)
@scheduled
async def notice() -> State[None]:
    """Check the provider keys, find matters for notices, and send them."""
    keys = await step.check_keys()
    found_count = await step.find()
    sent = await step.deliver()
    return Completed(
        message=f"keys: {keys.sound} sound, {keys.rejected} rejected, {keys.unknown} unknown; "
        f"{found_count} new notices; {sent.sent} sent, {sent.waiting} tried again later, {sent.failed} failed"
    )
