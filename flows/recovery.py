"""Run recovery where the operator sees it; every launcher runs the same on its own timer."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import recovery as step
from tasks.schedule import run_name, scheduled


@flow(name="recovery", flow_run_name=run_name, persist_result=False, log_prints=False)
@scheduled
async def recovery() -> State[None]:
    """Recover the work of dead processes, and end their runs in Prefect."""
    recovered = await step.recover()
    closed = await step.close_runs()
    await step.remove_old_deployments()
    return Completed(
        message=f"freed {recovered.freed}, gave up {recovered.given_up}, marked unknown {recovered.marked_unknown}, "
        f"decided {recovered.decided}, logged {recovered.logged}, owed {recovered.owed}, closed {closed}"
    )
