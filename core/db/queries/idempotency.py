"""The queries of `idempotency.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class FindRow(NamedTuple):
    request: str
    status: int
    answer: dict[str, object]


class Queries(Protocol):
    """What `idempotency.sql` offers."""

    async def forget_old(self, conn: Connection, *, account_id: UUID) -> int:
        """An answer is kept for a day."""

    async def begin(self, conn: Connection, *, account_id: UUID, key: str, request: str) -> int:
        """Zero rows if the key is there already. A concurrent request with it waits here until the first has
        committed.
        """

    async def find(self, conn: Connection, *, account_id: UUID, key: str) -> FindRow | None:
        """What was answered."""

    async def finish(self, conn: Connection, *, status: int, answer: str, account_id: UUID, key: str) -> int:
        """Keep the answer, in the transaction that did the work."""


sql: Queries = load("idempotency")
