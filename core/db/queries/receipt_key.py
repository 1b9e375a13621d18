"""The queries of `receipt_key.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from core.db.pool import Connection
from core.db.sql import load


class PublishedKey(NamedTuple):
    key_id: str
    public_key: bytes


class Queries(Protocol):
    """What `receipt_key.sql` offers."""

    async def publish(self, conn: Connection, *, key_ids: list[str], public_keys: list[bytes]) -> int:
        """Publish keys before anything is signed with them."""

    def published(self, conn: Connection) -> AsyncIterator[PublishedKey]:
        """All keys that ever signed a receipt here, newest first."""


sql: Queries = load("receipt_key")
