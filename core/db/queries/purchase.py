"""The queries of `purchase.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class PageRow(NamedTuple):
    id: UUID
    created_at: datetime


class Queries(Protocol):
    """What `purchase.sql` offers."""

    async def spend_nonce(self, conn: Connection, *, nonce_sha256: bytes) -> bytes | None:
        """A signed nonce lists once. No row means that it was spent before; the primary key decides."""

    async def forget_nonces(self, conn: Connection, *, seconds: float) -> int:
        """Nonces that are too old to be signed any more."""

    def page(
        self,
        conn: Connection,
        *,
        payer: str,
        network: str | None,
        after_time: datetime | None,
        after_id: UUID | None,
        most: int,
    ) -> AsyncIterator[PageRow]:
        """A wallet's purchases, newest first, unless no money moved. A contract's are only those on its own network."""


sql: Queries = load("purchase")
