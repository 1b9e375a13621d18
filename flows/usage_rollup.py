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
    """Update the rollups, create the log's next months, drop old ones, and report the day.

    Args:
        since: count everything again from this day (UTC) on, instead of only what changed.
    """
    hours = await step.roll_up(since)
    created_months = await step.make_months()
    dropped = await step.drop_months()
    await step.report()
    return Completed(
        message=f"counted {hours} hours, made {len(created_months)} months, dropped {len(dropped.log_rows)}, "
        f"kept {len(dropped.kept)} that are over"
    )
