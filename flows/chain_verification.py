"""Verify on the chain what facilitators told."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tasks import chain_verification as step
from tasks.schedule import run_name, scheduled


@flow(name="chain_verification", flow_run_name=run_name, persist_result=False, log_prints=False)
@scheduled
async def chain_verification() -> State[None]:
    """Compare each paid payment with the chain, some blocks later. Failed if a chain could not be read.

    After a restore it also looks for what was sold since the backup.
    """
    looked = await step.find_restored()
    verified = await step.verify()
    message = f"{verified.agree} agree, {verified.differ} differ, {verified.wait} wait"
    if verified.paused:
        message += f"; paused {', '.join(verified.paused)}"
    if looked.found:
        message += f"; found {looked.found} of before the restore"
    if unread := sorted({*verified.unread, *looked.unread}):
        return Failed(message=f"{message}; could not read {', '.join(unread)}")
    return Completed(message=message)
