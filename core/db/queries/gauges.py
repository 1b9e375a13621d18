"""The queries of `gauges.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol

from core.db.pool import Connection
from core.db.sql import load


class SnapshotRow(NamedTuple):
    held: int
    queued: int
    running: int
    oldest_queued_seconds: float
    settling: int
    unknown: int
    workers: dict[str, int]
    refunds_due: int
    refunds_sending: int
    catalog_age_seconds: float | None


class NetworkState(NamedTuple):
    network: str
    paused_at: datetime | None
    differing: int
    unverified: int


class Queries(Protocol):
    """What `gauges.sql` offers."""

    async def snapshot(self, conn: Connection, *, lease_seconds: float) -> SnapshotRow:
        """The gauges. Each part reads a partial index of unfinished rows, or the end of a key. A sync that found
        nothing new leaves no row, but is a success of its schedule.
        """

    def networks(self, conn: Connection, *, networks: list[str]) -> AsyncIterator[NetworkState]:
        """Whether these networks are paused, their payments that the chain does not show as told, and those not
        verified yet.
        """


sql: Queries = load("gauges")
