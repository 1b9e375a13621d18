"""Tasks of the flow `usage_rollup`."""

import time
from collections import Counter
from datetime import date, datetime

from prefect.artifacts import acreate_markdown_artifact, acreate_progress_artifact, aupdate_progress_artifact

from core import db
from core.payments import reconciliation
from core.reporting import day_page
from core.reporting import partitions as usage_partitions
from core.reporting import rollup as usage_rollup
from core.reporting.partitions import Dropped
from tasks import prefect_adapter
from tasks.policy import step

_PAUSE_SECONDS = 2


@step()
async def make_months() -> list[datetime]:
    """Create the log's partitions in advance."""
    async with db.pool() as pool:
        return await usage_partitions.create_months(pool)


@step()
async def roll_up(since: date | None) -> int:
    """Count changed hours, or all since a day (UTC), and show the progress; return the number of hours."""
    artifact_id = await acreate_progress_artifact(
        0.0, key="usage-rollup", description="Hours of the usage log counted again"
    )
    prefect_adapter.tell_artifact("usage-rollup")
    reported_at = 0.0

    async def report_progress(progress: usage_rollup.Progress) -> None:
        nonlocal reported_at
        if progress.is_over or time.monotonic() - reported_at > _PAUSE_SECONDS:
            reported_at = time.monotonic()
            await aupdate_progress_artifact(artifact_id, progress.percent)

    async with db.pool() as pool:
        if since:
            async with pool.connection() as conn:
                await usage_rollup.mark(conn, usage_rollup.midnight(since))
        return await usage_rollup.roll_up(pool, report_progress)


@step()
async def drop_months() -> Dropped:
    """Drop the log rows of old months."""
    async with db.pool() as pool:
        return await usage_partitions.drop_months(pool)


@step()
async def compare_books() -> dict[str, int]:
    """Compare the ledger, executions and usage, as every door does; return the number of differences by code."""
    async with db.pool() as pool:
        comparison = await reconciliation.compare_ledger(pool)
    return dict(Counter(difference.code for difference in comparison.differences))


@step()
async def report() -> None:
    """Leave the day's page as an artifact; earlier versions of it show earlier days."""
    async with db.pool() as pool, db.snapshot(pool) as conn:
        page = await day_page.compose(conn)
    await acreate_markdown_artifact(page, key="usage", description="What was sold today, and how it went")
    prefect_adapter.tell_artifact("usage")
