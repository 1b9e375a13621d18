"""Count the usage log into hours, and sum hours into days and months.

The transaction that changes the log marks the hour in `usage_dirty`. Another transaction takes the marks and counts
again, so at every moment an hour equals a recount of the log, or has a mark. The cost of a run depends on the number of
marks, not on the length of the log.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from core import db
from core.db.queries.rollup import StretchesRow, sql
from core.db.states import Span

# Transactions at once: Postgres uses one core for each.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a rollup, in hours of the log; it ends after days and months are summed too."""

    hours: int
    of: int
    is_over: bool = False

    @property
    def percent(self) -> float:
        """From 0 to 100; below 100 until it is over."""
        return 100.0 if self.is_over else 99.0 * self.hours / max(self.of, 1)


@dataclass(frozen=True, slots=True)
class _Step:
    """One aggregation level: `span` is built from `finer`, or from the log, one `within` period per transaction."""

    span: Span
    finer: Span | None
    within: str
    coarser: Span | None


_HOURS = _Step("hour", None, "day", coarser="day")
_DAYS = _Step("day", "hour", "month", coarser="month")
_MONTHS = _Step("month", "day", "year", coarser=None)


async def _ignore_progress(_progress: Progress) -> None:
    """Ignore the progress."""


def midnight(day: date) -> datetime:
    """Return the beginning of a day (UTC)."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def mark(conn: db.Connection, since: datetime) -> None:
    """Mark everything sold since then to be counted again.

    Hours whose log rows were dropped keep their counts.

    Args:
        conn: one transaction.
        since: a time with a zone; its whole hour (UTC) is included.
    """
    await sql.mark(conn, since=since)


async def roll_up(pool: db.Pool, report: Callable[[Progress], Awaitable[None]] = _ignore_progress) -> int:
    """Count the marked hours again, a day of hours per transaction; then sum the days, then the months.

    Takes the pool: an interrupted run keeps what it has counted. Any number of runs may work at once.

    Args:
        pool: our database.
        report: called with the progress: first, after each day of hours, and at the end.

    Returns:
        The number of hours that were counted.
    """
    days = await _marked(pool, _HOURS)
    counted, of = 0, sum(day.periods for day in days)
    report_lock = asyncio.Lock()

    async def count_on(day: StretchesRow) -> None:
        nonlocal counted
        # Days are counted concurrently, and the reported progress must not go back.
        async with report_lock:
            counted += day.periods
            await report(Progress(counted, of))

    await report(Progress(0, of))
    await _count(pool, _HOURS, days, count_on)
    for step in (_DAYS, _MONTHS):
        await _count(pool, step, await _marked(pool, step))
    # Days leave the last thirty also when nothing was sold, and then nothing is marked.
    async with pool.connection() as conn:
        await sql.count_withheld(conn)
        await sql.count_recent(conn)
    await report(Progress(of, of, is_over=True))
    return of


async def watermark(conn: db.Connection, span: Span) -> datetime:
    """Return the watermark: every earlier hour, day or month equals a recount of the log."""
    return await sql.watermark(conn, span=span)


async def _marked(pool: db.Pool, step: _Step) -> list[StretchesRow]:
    """List the marked periods, oldest first."""
    async with pool.connection() as conn:
        return [row async for row in sql.stretches(conn, span=step.span, within=step.within)]


async def _count(
    pool: db.Pool,
    step: _Step,
    stretches: list[StretchesRow],
    on_done: Callable[[StretchesRow], Awaitable[None]] | None = None,
) -> None:
    """Count all of them, some concurrently."""
    remaining = iter(stretches)

    async def work() -> None:
        for stretch in remaining:
            async with pool.connection() as conn:
                await _count_stretch(conn, step, stretch.first)
            if on_done:
                await on_done(stretch)

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))


async def _count_stretch(conn: db.Connection, step: _Step, first: datetime) -> None:
    """Count one period in one transaction: take its marks, count it, and mark the period that contains it."""
    await sql.tune(conn)
    await sql.lock(conn, span=step.span, first=first)
    starts = [row.starts_at async for row in sql.take(conn, span=step.span, within=step.within, first=first)]
    if not starts:
        return  # a concurrent run has counted it
    await sql.forget(conn, span=step.span, starts=starts)
    if step.finer:
        await sql.add_up(conn, span=step.span, finer=step.finer, starts=starts)
    else:
        await sql.tune_hours(conn)
        await sql.count_hours(conn, starts=starts)
    if step.coarser:
        await sql.mark_coarser(conn, span=step.coarser, starts=starts)
