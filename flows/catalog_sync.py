"""Keep the model catalog up to date."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import catalog_sync as step
from tasks.schedule import run_name, scheduled


@flow(name="catalog_sync", flow_run_name=run_name, persist_result=False, log_prints=False)
@scheduled
async def catalog_sync(*, accept_loss: bool = False) -> State[None]:
    """Sync the catalog and leave its changes as an artifact, and once a day a report of all changes.

    Args:
        accept_loss: apply a list that lacks more than a fifth of the models.
    """
    synced = await step.sync(accept_loss=accept_loss)
    if synced.at:
        await step.report(synced)
    await step.report_day()
    return Completed(message=synced.summary())
