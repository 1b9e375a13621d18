"""The usage log counted by hour, and days and months added up from hours.

What changed since it was last counted is marked in `usage_dirty`, by the transaction that changed it. Taking marks and
counting again is one transaction too, so whoever looks sees a rollup that equals a recount of the log, or a mark. What
a run costs depends on what is marked, never on how long the log is.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from core import db

sql = db.load("usage_rollup")

Span = Literal["hour", "day", "month"]

# Each span, what it is added up from, and what contains it: that much of it is counted in one transaction.
_STEPS: tuple[tuple[Span, Span | None, str], ...] = (
    ("hour", None, "day"),
    ("day", "hour", "month"),
    ("month", "day", "year"),
)

# Transactions at once: Postgres uses one core for each.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rollup is, in hours of the log; `day` is the last one (UTC) that was counted."""

    hours: int
    of: int
    day: datetime | None = None

    @property
    def percent(self) -> float:
        """Between 0 and 100."""
        return 100 * self.hours / self.of if self.of else 100.0


def midnight(day: date) -> datetime:
    """When a day begins (UTC)."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def mark(conn: db.Connection, since: datetime) -> None:
    """Have everything counted again that was sold since then.

    Hours whose rows were dropped from the log keep what was counted of them.

    Args:
        conn: one transaction.
        since: with a time zone; the whole hour (UTC) it is in.
    """
    await sql.mark(conn, since=since)


async def roll_up(pool: db.Pool) -> AsyncIterator[Progress]:
    """Count again what is marked now, oldest first: a day of hours per transaction, then the days, then the months.

    Takes the pool: what was counted stays counted whenever it is stopped. Any number may run at once.

    Yields:
        How far it is, first and after each transaction.
    """
    progress = Progress(0, 0)
    for span, finer, within in _STEPS:
        async with pool.connection() as conn:
            stretches = [row async for row in sql.stretches(conn, span=span, within=within)]
        if span == "hour":
            progress = Progress(0, sum(row.periods for row in stretches))
            yield progress
        for number in range(0, len(stretches), _AT_ONCE):
            some = stretches[number : number + _AT_ONCE]
            await asyncio.gather(*(_count(pool, span, finer, within, row.first) for row in some))
            if span == "hour":
                progress = Progress(progress.hours + sum(row.periods for row in some), progress.of, some[-1].first)
                yield progress


async def watermark(conn: db.Connection, span: Span) -> datetime:
    """Every hour, day or month that starts before this time equals a recount of the log."""
    until: datetime = await sql.watermark(conn, span=span)
    return until


async def _count(pool: db.Pool, span: Span, finer: Span | None, within: str, first: datetime) -> None:
    """One transaction: take the marks of a stretch, count what they are about, and mark what contains it."""
    async with pool.connection() as conn:
        await sql.lock(conn, span=span, first=first)
        starts = [row.starts_at async for row in sql.take(conn, span=span, within=within, first=first)]
        if not starts:
            return  # somebody else was faster
        await sql.forget(conn, span=span, starts=starts)
        if finer:
            await sql.add_up(conn, span=span, finer=finer, starts=starts)
        else:
            await sql.count_hours(conn, starts=starts)
        if within != "year":
            await sql.mark_coarser(conn, span=within, starts=starts)
