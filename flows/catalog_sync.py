"""The flow that keeps the model catalog up to date."""

from prefect import flow

from core import db
from tasks import catalog_sync as step


@flow(name="catalog_sync", persist_result=False, log_prints=False)
async def catalog_sync() -> None:
    """Bring the catalog up to date and leave the counts as an artifact."""
    async with db.pool():
        await step.report(await step.sync())
