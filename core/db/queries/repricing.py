"""The queries of `repricing.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class OfferedRow(NamedTuple):
    id: UUID
    model_id: str
    fallbacks: list[str]


class Queries(Protocol):
    """What `repricing.sql` offers."""

    def offered(self, conn: Connection, *, model_ids: list[str]) -> AsyncIterator[OfferedRow]:
        """The current versions that may call these models, also of archived resources, because they may be restored."""

    async def reprice(
        self, conn: Connection, *, version_id: UUID, worst_cost_usd: Decimal | int, is_certain_loss: bool
    ) -> int:
        """The version stays as it was published; this row holds what it costs today."""


sql: Queries = load("repricing")
