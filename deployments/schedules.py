"""The schedules of all flows. `serve.py` uses this table, and a test compares `prefect.yaml` with it.

Each flow has one schedule, and its deployment has the flow's name. All times are UTC.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class _Deployment:
    """A flow with a deployment of its own name."""

    name: str

    @property
    def entrypoint(self) -> str:
        """The flow's entrypoint for Prefect. It also identifies our deployments."""
        return f"flows.{self.name}.{self.name}"

    @property
    def deployment(self) -> str:
        """The deployment's name in Prefect."""
        return f"{self.name}/{self.name}"


@dataclass(frozen=True, slots=True)
class Schedule(_Deployment):
    """One row.

    Attributes:
        name: the name of the flow and of its deployment.
        cron: its times, UTC.
        longest: the age of the last success from which it counts as late. One run may fail, be missed, or take longer;
            a nightly one has two hours.
        description: shown to the operator in Prefect, which reads it as Markdown.
    """

    cron: str
    longest: timedelta
    description: str


@dataclass(frozen=True, slots=True)
class ByHand(_Deployment):
    """A flow without a schedule, which the operator starts when it is needed, with *Quick run* or the command line.

    Attributes:
        name: the name of the flow and of its deployment.
        description: shown to the operator in Prefect.
    """

    description: str


BY_HAND = (
    ByHand(
        "key_rotation",
        "Seal everything anew under the newest master key; run it after the key was changed. "
        "Artifact: [key-rotation](/artifacts/key/key-rotation).",
    ),
)

SCHEDULES = (
    # The first run from 03:00 on also makes the day's report.
    Schedule(
        "catalog_sync",
        "0 * * * *",
        timedelta(hours=3),
        "Update the model catalog and its prices. Artifacts: [catalog](/artifacts/key/catalog), "
        "[catalog-day](/artifacts/key/catalog-day).",
    ),
    # Each launcher does the same every few seconds.
    Schedule("recovery", "*/5 * * * *", timedelta(minutes=20), "Recover the work of dead processes."),
    Schedule(
        "chain_verification",
        "2-57/5 * * * *",
        timedelta(minutes=20),
        "Verify payments on the chain; pause a network that differs.",
    ),
    Schedule(
        "refund_payment",
        "4-54/10 * * * *",
        timedelta(minutes=45),
        "Pay due refunds from the wallets that creators stored for that, up to their daily caps.",
    ),
    Schedule(
        "usage_rollup",
        "5 * * * *",
        timedelta(hours=3),
        "Count usage, create the log's next months, drop old ones. Artifact: [usage](/artifacts/key/usage).",
    ),
    Schedule(
        "cost_backfill",
        "30 3 * * *",
        timedelta(hours=26),
        "Ask the providers for unknown costs of calls.",
    ),
    Schedule("retention", "15 * * * *", timedelta(hours=3), "Delete inputs and answers after their retention time."),
    Schedule(
        "listing_check",
        "40 4 * * *",
        timedelta(hours=26),
        "Visit every product as a stranger, and compare what lists say with its offer.",
    ),
    # After the usage rollup.
    Schedule(
        "notice",
        "20 * * * *",
        timedelta(hours=3),
        "Send notices to creators and the operator, at most one a week about each matter.",
    ),
)
