"""The usage log's partitions, one per month (UTC): made ahead, and dropped when they are old and counted for good.

Nothing waits for them: a row whose month has no partition goes to the default one and moves when its own is made.
"""

from dataclasses import dataclass
from datetime import datetime

from core import db
from core.db.queries.usage_months import sql
from core.settings import settings
from core.spend.cost_backfill import ASKED_FOR

# Months of partitions that are created in advance.
_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Kept:
    """A month that is over and was not dropped.

    Attributes:
        unfinished: how many of its executions could still be logged, or their costs come to light; 0 means that some of
            its hours are not counted.
    """

    month: datetime
    unfinished: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """What went with old months, and what stayed.

    Attributes:
        log_rows: rows of the log by month.
        kept: months that stayed, and why.
    """

    log_rows: dict[datetime, int]
    kept: list[Kept]


async def create_months(pool: db.Pool) -> list[datetime]:
    """Make the partitions of this month and the next two, and of every month that has rows and no partition.

    Takes the pool: each month is a transaction of its own. Rows that gathered in the default partition move; until they
    have, loggers wait.

    Returns:
        The months that were made.

    Raises:
        psycopg.errors.LockNotAvailable: when the log was in use for 5 seconds; nothing is lost, and the next run tries
            again.
    """
    async with pool.connection() as conn:
        months = [row.month async for row in sql.to_make(conn, ahead=_AHEAD)]
    made = []
    for month in months:
        async with pool.connection() as conn:
            if await sql.make(conn, month=month):
                made.append(month)
    return made


async def drop_months(pool: db.Pool) -> Dropped:
    """Drop the rows of months that are over for longer than they are kept, and stay counted in the rollup for ever.

    A month stays as long as any of its executions could still be logged, or its cost come to light, or any of its hours
    has to be counted. Takes the pool: each month is a transaction of its own.

    Raises:
        psycopg.errors.LockNotAvailable: as in `make`.
    """
    async with pool.connection() as conn:
        months = [
            row
            async for row in sql.over(conn, kept=settings().usage_kept_months, asked_seconds=ASKED_FOR.total_seconds())
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
