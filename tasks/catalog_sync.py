"""Tasks of the flow `catalog_sync`."""

from typing import Any

from prefect import Task
from prefect.artifacts import acreate_table_artifact
from prefect.client.schemas.objects import State

from core import catalog, db
from tasks.policy import step


def was_unreachable(_task: Task[..., Any], _run: Any, state: State[Any]) -> bool:
    """A list that came and was refused will be the same in a moment; one that did not come may come."""
    failure = state.data.exception if hasattr(state.data, "exception") else state.data
    return isinstance(failure, catalog.Refused) and failure.why == "unreachable"


@step(name="sync", retries=2, retry_delay_seconds=[5, 60], retry_condition_fn=was_unreachable, timeout_seconds=180)
async def sync() -> catalog.Synced:
    """Fetch the provider's list and apply it; the list itself stays inside."""
    async with db.pool() as pool:
        return await catalog.sync(pool)


@step(name="report", retries=1)
async def report(synced: catalog.Synced) -> None:
    """Leave the counts where the operator looks."""
    await acreate_table_artifact([vars(synced)], key="catalog", description="Models of the provider, last sync")
