"""The queries of `cost_backfill.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class UnpricedRow(NamedTuple):
    execution_id: UUID
    round: int
    number: int
    generation_id: str
    account_id: UUID
    served_by: str


class PriceRow(NamedTuple):
    number: int


class Queries(Protocol):
    """What `cost_backfill.sql` offers."""

    def unpriced(
        self, conn: Connection, *, tellers: list[str], oldest_seconds: float, youngest_seconds: float, most: int
    ) -> AsyncIterator[UnpricedRow]:
        """Sends with an unknown cost, at providers that report costs later, oldest first. Younger sends may still
        run; older ones stay at their worst case.
        """

    async def price(
        self, conn: Connection, *, cost_usd: Decimal | int | None, execution_id: UUID, round: int, number: int
    ) -> PriceRow | None:
        """The first reported cost counts."""


sql: Queries = load("cost_backfill")
