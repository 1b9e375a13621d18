"""How things stand now in Postgres, as counts and ages: what is under way, what is undecided, who is alive."""

from collections.abc import Mapping
from dataclasses import dataclass

from core import db
from core.db.queries.standing import sql
from core.process import scheduled_runs
from core.process.scheduled_runs import Known
from core.settings import settings


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look.

    Attributes:
        executions: held, queued and running.
        oldest_queued_seconds: since when the oldest of the queued waits; 0 when none does.
        payments: settling and unknown.
        workers: living processes, by kind.
        refunds_due: executions that are owed back.
        catalog_age_seconds: since the last sync that the provider answered well; None before the first.
        schedules: what is known of each, by name.
    """

    executions: dict[str, int]
    oldest_queued_seconds: float
    payments: dict[str, int]
    workers: dict[str, int]
    refunds_due: int
    catalog_age_seconds: float | None
    schedules: dict[str, Known]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a door thinks of how things stand.

    Attributes:
        books: agree, differ or unknown.
        late: whether each schedule has gone without success for too long.
        active: whether Prefect schedules runs of each; empty when it does not say.
    """

    books: str
    late: Mapping[str, bool]
    active: Mapping[str, bool]


async def read(conn: db.Connection) -> Snapshot:
    """See how things stand."""
    row = await sql.standing(conn, lease_seconds=settings().lease_seconds)
    return Snapshot(
        executions={"held": row.held, "queued": row.queued, "running": row.running},
        oldest_queued_seconds=row.oldest_queued_seconds,
        payments={"settling": row.settling, "unknown": row.unknown},
        # Of these somebody has to be there, so that none of them is a number as well.
        workers={"door": 0, "executor": 0} | row.workers,
        refunds_due=row.refunds_due,
        catalog_age_seconds=row.catalog_age_seconds,
        schedules=await scheduled_runs.known(conn),
    )
