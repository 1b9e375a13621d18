"""The queries of `usage_months.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol

from core.db.pool import Connection
from core.db.sql import load


class ToMakeRow(NamedTuple):
    month: datetime


class OverRow(NamedTuple):
    month: datetime
    unfinished: int


class Queries(Protocol):
    """What `usage_months.sql` offers."""

    def to_make(self, conn: Connection, *, ahead: int) -> AsyncIterator[ToMakeRow]:
        """Months that have no partition and have rows, or will."""

    async def make(self, conn: Connection, *, month: datetime) -> bool:
        """One transaction each: the rows that were waiting for it move."""

    def over(self, conn: Connection, *, asked_seconds: float, kept: int) -> AsyncIterator[OverRow]:
        """Months that are not kept any longer, each with how many of its executions could still change the log. A
        refused payment could land, a failed call could be re-run, and what a lost one cost could come to
        light, for a while.
        """

    async def drop(self, conn: Connection, *, month: datetime) -> int | None:
        """How many rows went; NULL where something is not counted yet."""


sql: Queries = load("usage_months")
