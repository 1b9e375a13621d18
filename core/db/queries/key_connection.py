"""The queries of `key_connection.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class TakeRow(NamedTuple):
    id: UUID
    account_id: UUID
    sealed_verifier: bytes


class Queries(Protocol):
    """What `key_connection.sql` offers."""

    async def begin(
        self,
        conn: Connection,
        *,
        id: UUID,
        account_id: UUID,
        state_sha256: bytes,
        browser_sha256: bytes,
        sealed_verifier: bytes,
        seconds: float,
    ) -> datetime | None:
        """One connection at a time for each account: a new one ends the one before."""

    async def take(
        self, conn: Connection, *, state_sha256: bytes, browser_sha256: bytes | None, account_id: UUID | None
    ) -> TakeRow | None:
        """Take a connection, once, for the browser that began it or for its account."""


sql: Queries = load("key_connection")
