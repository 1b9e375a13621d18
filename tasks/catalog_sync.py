"""Tasks of the flow `catalog_sync`."""

from prefect.artifacts import acreate_table_artifact

from core import catalog, db
from tasks.policy import step


# A list that was refused is often one bad moment of the provider's edge cache, so any failure is worth another try.
@step(name="sync", retries=2, retry_delay_seconds=[5, 30], retry_condition_fn=None, timeout_seconds=180)
async def sync() -> catalog.Synced:
    """Fetch the provider's list and apply it; the list itself stays inside."""
    async with db.pool() as pool:
        return await catalog.sync(pool)


@step(name="report", retries=1)
async def report(synced: catalog.Synced) -> None:
    """Leave the counts where the operator looks."""
    await acreate_table_artifact([vars(synced)], key="catalog", description="Models of the provider, last sync")
