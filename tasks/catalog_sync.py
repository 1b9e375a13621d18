"""Tasks of the flow `catalog_sync`."""

from typing import Any

from prefect import Task
from prefect.artifacts import acreate_table_artifact
from prefect.client.schemas.objects import State

from core import db
from core.catalog import changes as catalog_changes
from core.catalog import sync as catalog_sync
from core.catalog.model_list import ListRefused
from core.catalog.sync import Synced
from core.resources.repricing import reprice
from tasks import prefect_adapter
from tasks.policy import step


def was_unreachable(_task: Task[..., Any], _run: Any, state: State[Any]) -> bool:
    """Retry only if the list did not arrive. A list that arrived and was refused would be the same in a moment."""
    failure = state.data.exception if hasattr(state.data, "exception") else state.data
    return isinstance(failure, ListRefused) and failure.reason in ("unreachable", "status")


@step(name="sync", retries=2, retry_delay_seconds=[5, 60], retry_condition_fn=was_unreachable, timeout_seconds=180)
async def sync(*, accept_loss: bool = False) -> Synced:
    """Fetch the provider's list and apply it. The list itself is not returned, so Prefect does not keep it."""
    async with db.pool() as pool:
        return await catalog_sync.sync(pool, reprice, accept_loss=accept_loss)


@step(name="report", retries=1)
async def report(synced: Synced) -> None:
    """Leave the changes of a sync as an artifact for the operator."""
    description = f"{synced.summary()}\n\n{catalog_changes.headline(synced.news)}".strip()
    await acreate_table_artifact(catalog_changes.table(synced.news), key="catalog", description=description)
    prefect_adapter.tell_artifact("catalog")


@step(name="report_day", retries=1)
async def report_day() -> None:
    """Leave the day's report as an artifact, in the first run of a day that begins at 03:00 UTC."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            day = await catalog_changes.report_due(conn)
        if day is None:
            return
        description = f"{day.summary()}\n\n{catalog_changes.headline(day.news)}".strip()
        await acreate_table_artifact(catalog_changes.table(day.news), key="catalog-day", description=description)
        prefect_adapter.tell_artifact("catalog-day")
        async with pool.connection() as conn:
            await catalog_changes.reported(conn, day)
