"""The queries of `margin.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class RealCostRow(NamedTuple):
    calls: int
    cost_usd: Decimal | None


class CapsBelowRow(NamedTuple):
    cap: Literal["account_call"]
    usd: Decimal


class Queries(Protocol):
    """What `margin.sql` offers."""

    async def real_cost(self, conn: Connection, *, account_id: UUID, slug: str, model_id: str) -> RealCostRow:
        """What the paid calls of a creator's resource on a model cost on average in the last 30 days, failures
        included.
        """

    def caps_below(self, conn: Connection, *, resource_id: UUID, usd: Decimal | int) -> AsyncIterator[CapsBelowRow]:
        """The caps of a resource and its account that are below a cost."""


sql: Queries = load("margin")
