"""The queries of `rollup.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import Span


class StretchesRow(NamedTuple):
    first: datetime
    periods: int


class TakeRow(NamedTuple):
    starts_at: datetime


class Queries(Protocol):
    """What `rollup.sql` offers."""

    async def mark(self, conn: Connection, *, since: datetime) -> int:
        """Mark everything since then to be counted again: hours of the log, and counted hours whose rows are gone."""

    def stretches(self, conn: Connection, *, within: str, span: Span) -> AsyncIterator[StretchesRow]:
        """The marked periods, grouped by what is counted in one transaction."""

    async def tune(self, conn: Connection) -> int:
        """For this transaction: plan each query for its own period, because a generic plan would read all of them.
        And do not wait for the disk: a crash that loses the counts restores the marks.
        """

    async def tune_hours(self, conn: Connection) -> int:
        """Hash the groups of an hour: Postgres overestimates their number tenfold, and would sort them."""

    async def lock(self, conn: Connection, *, span: str, first: datetime) -> int:
        """Transactions that count the same period wait for each other, so that the last one has seen the most rows."""

    def take(self, conn: Connection, *, span: Span, first: datetime, within: str) -> AsyncIterator[TakeRow]:
        """Take the marks of a period. Rows that are marked from now on are counted by the next run."""

    async def forget(self, conn: Connection, *, span: Span, starts: list[datetime]) -> int:
        """Delete earlier counts, except of hours whose log rows were dropped."""

    async def count_hours(self, conn: Connection, *, starts: list[datetime]) -> int:
        """Count the log by hours, one at a time, so that each is grouped in memory."""

    async def add_up(self, conn: Connection, *, span: Span, starts: list[datetime], finer: Span) -> int:
        """Sum hours to days and days to months. Hours whose log rows were dropped count like any other."""

    async def mark_coarser(self, conn: Connection, *, span: Span, starts: list[datetime]) -> int:
        """Mark the coarser periods that contain these."""

    async def watermark(self, conn: Connection, *, span: str) -> datetime:
        """The watermark: every earlier period of this span equals a recount."""

    async def count_withheld(self, conn: Connection) -> int:
        """How many answers of each resource were withheld in the last 30 days, for its offer. Only versions that
        block count, and only paid calls: an owner's test is nobody's purchase.
        """

    async def count_recent(self, conn: Connection) -> int:
        """How many paid calls of each resource were answered in the last 30 days, by which lists are sorted."""


sql: Queries = load("rollup")
