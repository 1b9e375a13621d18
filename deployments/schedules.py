"""The one table of what runs when: `serve.py` is made from it, and a test compares `prefect.yaml` with it.

Each flow has one schedule, and its deployment has the flow's name. All times are UTC.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Schedule:
    """One row.

    Attributes:
        name: of the flow and of its deployment.
        cron: when it runs, UTC.
        longest: how long ago it may have succeeded before it counts as late: one run may fail or be missed, or take
            its time, and a nightly one has two hours.
        description: what the operator reads in Prefect.
    """

    name: str
    cron: str
    longest: timedelta
    description: str

    @property
    def entrypoint(self) -> str:
        """Where Prefect finds the flow, which is also how we know a deployment as ours."""
        return f"flows.{self.name}.{self.name}"

    @property
    def deployment(self) -> str:
        """What Prefect calls the deployment."""
        return f"{self.name}/{self.name}"


SCHEDULES = (
    Schedule("catalog_sync", "0 3 * * *", timedelta(hours=26), "Bring the model catalog and its prices up to date."),
    # Each launcher does the same every few seconds.
    Schedule("recovery", "*/5 * * * *", timedelta(minutes=20), "Finish what somebody began and nobody ended."),
    Schedule(
        "usage_rollup", "5 * * * *", timedelta(hours=3), "Count usage, make the log's months ahead, and drop old ones."
    ),
    Schedule(
        "reconciliation",
        "30 3 * * *",
        timedelta(hours=26),
        "Ask the provider what calls of unknown cost were charged.",
    ),
    Schedule("retention", "15 * * * *", timedelta(hours=3), "Delete inputs and answers that were kept long enough."),
    # After the usage was rolled up.
    Schedule(
        "notice",
        "20 * * * *",
        timedelta(hours=3),
        "Tell creators and the operator what they should know, once a week at most for each matter.",
    ),
)
