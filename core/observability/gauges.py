"""Read gauges from Postgres: counts and ages of unfinished executions, undecided payments and living processes."""

from collections.abc import Mapping
from dataclasses import dataclass

from core import db
from core.db.queries.gauges import NetworkState as NetworkState
from core.db.queries.gauges import sql
from core.process import scheduled_runs
from core.process.scheduled_runs import ScheduleRecord
from core.settings import settings


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The gauges at one moment.

    Attributes:
        executions: held, queued and running.
        oldest_queued_seconds: how long the oldest queued execution has waited; 0 if none is queued.
        payments: settling and unknown.
        workers: living processes, by kind.
        refunds_due: executions whose refund is due.
        refunds_sending: those of them whose transfer was recorded, and may pay them.
        catalog_age_seconds: time since the last good sync; None before the first.
        schedules: the record of each schedule, by name.
        networks: what the chain shows of each configured network's payments.
    """

    executions: dict[str, int]
    oldest_queued_seconds: float
    payments: dict[str, int]
    workers: dict[str, int]
    refunds_due: int
    refunds_sending: int
    catalog_age_seconds: float | None
    schedules: dict[str, ScheduleRecord]
    networks: list[NetworkState]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """A door's judgement of its surroundings.

    Attributes:
        books: agree, differ or unknown.
        late: whether each schedule has had no success for too long.
        active: whether Prefect schedules runs of each; empty if Prefect does not answer.
    """

    books: str
    late: Mapping[str, bool]
    active: Mapping[str, bool]


async def read(conn: db.Connection) -> Snapshot:
    """Read the gauges."""
    row = await sql.snapshot(conn, lease_seconds=settings().lease_seconds)
    return Snapshot(
        executions={"held": row.held, "queued": row.queued, "running": row.running},
        oldest_queued_seconds=row.oldest_queued_seconds,
        payments={"settling": row.settling, "unknown": row.unknown},
        # Alerts watch these kinds, so 0 is reported too.
        workers={"door": 0, "executor": 0} | row.workers,
        refunds_due=row.refunds_due,
        refunds_sending=row.refunds_sending,
        catalog_age_seconds=row.catalog_age_seconds,
        schedules=await scheduled_runs.records(conn),
        networks=await networks(conn),
    )


async def networks(conn: db.Connection) -> list[NetworkState]:
    """Read what the chain shows of each configured network's payments: paused_at, differing, unverified."""
    return [row async for row in sql.networks(conn, networks=[network.id for network in settings().networks])]
