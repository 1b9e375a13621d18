"""The queries of `usage_rollup.sql` as mypy sees them. Written by `make queries`; do not edit.

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
    """What `usage_rollup.sql` offers."""

    async def mark(self, conn: Connection, *, since: datetime) -> int:
        """Everything since then shall be counted again: what the log has, and what was counted and it has no more."""

    def stretches(self, conn: Connection, *, within: str, span: Span) -> AsyncIterator[StretchesRow]:
        """What is marked, by the stretches that are counted in one transaction each."""

    async def tune(self, conn: Connection) -> int:
        """For this transaction: each stretch gets a plan of its own, because one that fits any of them would read
        them all. And nobody waits for the disk: what a crash takes back is marked again.
        """

    async def tune_hours(self, conn: Connection) -> int:
        """Groups of an hour are hashed: Postgres takes an hour for ten, and would sort it."""

    async def lock(self, conn: Connection, *, span: str, first: datetime) -> int:
        """Who counts the same takes turns, so that who counts last has seen the most."""

    def take(self, conn: Connection, *, span: Span, first: datetime, within: str) -> AsyncIterator[TakeRow]:
        """Take a stretch's marks away. Whoever marks again from now on is counted again by the next."""

    async def forget(self, conn: Connection, *, span: Span, starts: list[datetime]) -> int:
        """What was counted before; what cannot be counted again stays."""

    async def count_hours(self, conn: Connection, *, starts: list[datetime]) -> int:
        """The log by hours: one at a time, so that each is grouped in memory. Times are collected first and then
        counted into histograms, because that is five times as fast as an aggregate of our own.
        """

    async def add_up(self, conn: Connection, *, span: Span, starts: list[datetime], finer: Span) -> int:
        """Days from hours, months from days. Hours whose rows were dropped from the log count like any other."""

    async def mark_coarser(self, conn: Connection, *, span: Span, starts: list[datetime]) -> int:
        """What contains these must be added up again."""

    async def watermark(self, conn: Connection, *, span: str) -> datetime:
        """Before it, every period of this span equals a recount."""


sql: Queries = load("usage_rollup")
