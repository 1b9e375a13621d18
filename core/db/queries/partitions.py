"""The queries of `partitions.sql` as mypy sees them. Written by `make queries`; do not edit.

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
    """What `partitions.sql` offers."""

    def to_make(self, conn: Connection, *, ahead: int) -> AsyncIterator[ToMakeRow]:
        """Months without a partition that have rows already, or need one soon."""

    async def make(self, conn: Connection, *, month: datetime) -> bool:
        """Create one partition per transaction; its rows in the default partition move."""

    def over(self, conn: Connection, *, asked_seconds: float, kept: int) -> AsyncIterator[OverRow]:
        """Months that are older than the retention, each with the number of its executions that could still change
        the log: a refused payment could land, a failed call could be re-run, or an unknown cost could
        become known.
        """

    async def drop(self, conn: Connection, *, month: datetime) -> int | None:
        """Drop a month and return its number of rows; NULL if a row is not counted yet."""


sql: Queries = load("partitions")
