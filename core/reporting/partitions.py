"""Create the monthly partitions (UTC) of the usage log in advance, and drop old ones that are counted.

No writer waits for a partition: a row of a month without one goes to the default partition, and moves later.
"""

from dataclasses import dataclass
from datetime import datetime

from core import db
from core.db.queries.partitions import sql
from core.settings import settings
from core.spend.cost_backfill import LOOKUP_PERIOD

# Months of partitions that are created in advance.
_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Kept:
    """An old month that was not dropped.

    Attributes:
        unfinished: the number of its executions that could still be logged or whose cost is still unknown; 0 means that
            some of its hours are not counted.
    """

    month: datetime
    unfinished: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """The months that were dropped, and the old months that were kept.

    Attributes:
        log_rows: the number of dropped log rows by month.
        kept: the months that were kept, with the reason.
    """

    log_rows: dict[datetime, int]
    kept: list[Kept]


async def create_months(pool: db.Pool) -> list[datetime]:
    """Create the partitions of this month and the next two, and of every month with rows in the default partition.

    Takes the pool: each month is a transaction of its own. Rows in the default partition move; until then, writers of
    the log wait.

    Returns:
        The months that were created.

    Raises:
        psycopg.errors.LockNotAvailable: the log was in use for 5 seconds; nothing is lost, and the next run tries
            again.
    """
    async with pool.connection() as conn:
        months = [row.month async for row in sql.to_make(conn, ahead=_AHEAD)]
    created = []
    for month in months:
        async with pool.connection() as conn:
            if await sql.make(conn, month=month):
                created.append(month)
    return created


async def drop_months(pool: db.Pool) -> Dropped:
    """Drop the log rows of months that are older than the retention. Their rollups stay for ever.

    A month is kept while any of its executions could still be logged, a cost is unknown, or an hour is not counted.
    Takes the pool: each month is a transaction of its own.

    Raises:
        psycopg.errors.LockNotAvailable: as in `create_months`.
    """
    async with pool.connection() as conn:
        months = [
            row
            async for row in sql.over(
                conn, kept=settings().usage_kept_months, asked_seconds=LOOKUP_PERIOD.total_seconds()
            )
        ]
    dropped, kept = {}, []
    for row in months:
        async with pool.connection() as conn:
            log_rows = None if row.unfinished else await sql.drop(conn, month=row.month)
        if log_rows is None:
            kept.append(Kept(row.month, row.unfinished))
        else:
            dropped[row.month] = log_rows
    return Dropped(dropped, kept)
