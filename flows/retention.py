"""Delete inputs and answers after the time that buyers were promised, and what payments need no more."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import retention as step
from tasks.schedule import run_name, scheduled


@flow(name="retention", flow_run_name=run_name, persist_result=False, log_prints=False)
@scheduled
async def retention() -> State[None]:
    """Delete content whose retention time is over, and signed payloads that settle nothing any more."""
    cleared = await step.clear_payloads()
    deleted = await step.delete_content()
    await step.delete_aliases()
    return Completed(message=f"deleted the inputs and answers of {deleted} executions, and {cleared} payloads")
