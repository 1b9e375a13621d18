"""The usage log counted by hour, and days and months added up from hours.

What changed since it was last counted is marked in `usage_dirty`, by the transaction that changed it. Taking marks and
counting again is one transaction too, so whoever looks sees a rollup that equals a recount of the log, or a mark. What
a run costs depends on what is marked, never on how long the log is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from core import db
from core.db.queries.usage_rollup import StretchesRow, sql
from core.db.states import Span

# Transactions at once: Postgres uses one core for each.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rollup is, in hours of the log; it is over when days and months are added up from them, too."""

    hours: int
    of: int
    is_over: bool = False

    @property
    def percent(self) -> float:
        """Between 0 and 100, and not quite that until it is over."""
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


async def _to_nobody(_progress: Progress) -> None:
    """Nobody wants to know."""


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


async def roll_up(pool: db.Pool, tell: Callable[[Progress], Awaitable[None]] = _to_nobody) -> int:
    """Count again what is marked now: a day of hours per transaction, then the days, then the months.

    Takes the pool: what was counted stays counted whenever it is stopped. Any number may run at once.

    Args:
        pool: our database.
        tell: is told how far it is: first, after each day of hours, and when it is over.

    Returns:
        How many hours were counted.
    """
    days = await _marked(pool, _HOURS)
    counted, of = 0, sum(day.periods for day in days)
    in_order = asyncio.Lock()

    async def count_on(day: StretchesRow) -> None:
        nonlocal counted
        # Days are counted side by side, and what is told must not go back.
        async with in_order:
            counted += day.periods
            await tell(Progress(counted, of))

    await tell(Progress(0, of))
    await _count(pool, _HOURS, days, count_on)
    for step in (_DAYS, _MONTHS):
        await _count(pool, step, await _marked(pool, step))
    await tell(Progress(of, of, is_over=True))
    return of


async def watermark(conn: db.Connection, span: Span) -> datetime:
    """Every hour, day or month that starts before this time equals a recount of the log."""
    return await sql.watermark(conn, span=span)


async def _marked(pool: db.Pool, step: _Step) -> list[StretchesRow]:
    """The stretches that have marks, oldest first."""
    async with pool.connection() as conn:
        return [row async for row in sql.stretches(conn, span=step.span, within=step.within)]


async def _count(
    pool: db.Pool,
    step: _Step,
    stretches: list[StretchesRow],
    done: Callable[[StretchesRow], Awaitable[None]] | None = None,
) -> None:
    """Count all of them, some at once."""
    left = iter(stretches)

    async def work() -> None:
        for stretch in left:
            async with pool.connection() as conn:
                await _count_stretch(conn, step, stretch.first)
            if done:
                await done(stretch)

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))


async def _count_stretch(conn: db.Connection, step: _Step, first: datetime) -> None:
    """One transaction: take the marks of a stretch, count what they are about, and mark what contains it."""
    await sql.tune(conn)
    await sql.lock(conn, span=step.span, first=first)
    starts = [row.starts_at async for row in sql.take(conn, span=step.span, within=step.within, first=first)]
    if not starts:
        return  # somebody else was faster
    await sql.forget(conn, span=step.span, starts=starts)
    if step.finer:
        await sql.add_up(conn, span=step.span, finer=step.finer, starts=starts)
    else:
        await sql.tune_hours(conn)
        await sql.count_hours(conn, starts=starts)
    if step.coarser:
        await sql.mark_coarser(conn, span=step.coarser, starts=starts)
