"""Seal everything anew under the newest master key. It has no schedule: an operator starts it."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import key_rotation as step
from tasks.schedule import run_name, scheduled


@flow(name="key_rotation", flow_run_name=run_name, persist_result=False, log_prints=False)
@scheduled
async def key_rotation() -> State[None]:
    """Seal everything anew, with the progress as an artifact. A run that was ended is simply started again."""
    rotated = await step.rotate()
    sealed = f"sealed {rotated.resealed} values anew under {rotated.use.newest!a}"
    return Completed(message="; ".join([sealed, *rotated.use.sentences]))
