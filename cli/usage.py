"""`instant usage`: count and report usage."""

import asyncio
from datetime import date
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli import output
from cli.report import report
from cli.shared import Json
from core import db
from core.reporting import rollup as usage_rollup

usage = App(name="usage")
usage.command(report)


@usage.command(name="rollup")
def roll_up(
    *,
    since: Annotated[date | None, Parameter(help="Count everything again from this day (UTC) on.")] = None,
    json: Json = False,
) -> None:
    """Count what changed in the usage log since the last count, as the schedule does every hour.

    Args:
        json: print JSON.
    """
    facts = asyncio.run(_roll_up(since, quiet=json))
    if json:
        output.document(facts)
    else:
        output.line(
            f"Hours counted: {facts['hours']}. Everything before {facts['watermark']:%Y-%m-%d %H:%M} UTC is counted."
        )


async def _roll_up(since: date | None, *, quiet: bool) -> dict[str, object]:
    bar = Progress(
        TextColumn("hours"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )
    async with db.pool() as pool:
        if since:
            async with pool.connection() as conn:
                await usage_rollup.mark(conn, usage_rollup.midnight(since))
        with bar:
            task = bar.add_task("hours", total=None)

            async def tell(progress: usage_rollup.Progress) -> None:
                bar.update(task, completed=progress.hours, total=progress.of)

            hours = await usage_rollup.roll_up(pool, tell)
        async with pool.connection() as conn:
            watermark = await usage_rollup.watermark(conn, "hour")
    return {"hours": hours, "watermark": watermark}
