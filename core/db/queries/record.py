"""The queries of `record.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class FiguresRow(NamedTuple):
    calls: int
    succeeded: int
    truncated: int
    declined: int
    failed: int
    p50_ms: int | None
    p95_ms: int | None
    refunded: int
    owed: int


class OffersRow(NamedTuple):
    offered_at: datetime
    number: int
    price_atomic: int


class Queries(Protocol):
    """What `record.sql` offers."""

    async def figures(self, conn: Connection, *, resource_id: UUID, since: datetime, until: datetime) -> FiguresRow:
        """The paid calls of a product's versions: the live rollup, so equal to a recount of the log, and what of
        them is owed.
        """

    def offers(
        self, conn: Connection, *, resource_id: UUID, since: datetime, until: datetime
    ) -> AsyncIterator[OffersRow]:
        """What a product was on offer as in that time, and at its beginning, oldest first."""

    async def now(self, conn: Connection) -> datetime:
        """The moment that a snapshot shows."""


sql: Queries = load("record")
