"""Count usage, and manage the log's monthly partitions."""

from datetime import date

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import usage_rollup as step
from tasks.schedule import run_name, scheduled


@flow(name="usage_rollup", flow_run_name=run_name, persist_result=False, log_prints=False)
@scheduled
async def usage_rollup(since: date | None = None) -> State[None]:
    """Update the rollups, create the log's next months, drop old ones, report the day, and compare the books.

    A run that finds them different is Completed with the name BooksDiffer, so that an automation can tell.

    Args:
        since: count everything again from this day (UTC) on, instead of only what changed.
    """
    hours = await step.roll_up(since)
    created_months = await step.make_months()
    dropped = await step.drop_months()
    await step.report()
    differences = await step.compare_books()
    message = (
        f"counted {hours} hours, made {len(created_months)} months, dropped {len(dropped.log_rows)}, "
        f"kept {len(dropped.kept)} that are over"
    )
    if not differences:
        return Completed(message=message)
    counts = ", ".join(f"{count} {code}" for code, count in differences.items())
    return Completed(name="BooksDiffer", message=f"{message}; books differ: {counts}; look at `instant money check`")
