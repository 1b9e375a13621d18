"""Tasks of the flow `usage_rollup`."""

import time
from datetime import date, datetime

from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact

from core import db, usage_months, usage_rollup
from core.usage_months import Dropped
from tasks.policy import step

_TOLD_SECONDS = 2


@step()
async def make_months() -> list[datetime]:
    """Make the log's partitions ahead."""
    async with db.pool() as pool:
        return await usage_months.make(pool)


@step()
async def roll_up(since: date | None) -> int:
    """Count again what changed, or everything since a day (UTC), and show how far it is; how many hours that were."""
    async with db.pool() as pool:
        if since:
            async with pool.connection() as conn:
                await usage_rollup.mark(conn, usage_rollup.midnight(since))
        shown, told_at = None, 0.0
        async for progress in usage_rollup.roll_up(pool):
            if shown is None:
                shown = await acreate_progress_artifact(
                    progress.percent, key="usage-rollup", description=f"{progress.of} hours of the usage log"
                )
            elif progress.hours == progress.of or time.monotonic() - told_at > _TOLD_SECONDS:
                await aupdate_progress_artifact(shown, progress.percent)
                told_at = time.monotonic()
        return progress.of


@step()
async def drop_months() -> Dropped:
    """Drop the rows of old months."""
    async with db.pool() as pool:
        return await usage_months.drop(pool)
