"""The queries of `closing.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class ObstaclesRow(NamedTuple):
    running: int
    owed: int
    undecided: int


class VersionIdsRow(NamedTuple):
    id: UUID


class Queries(Protocol):
    """What `closing.sql` offers."""

    async def lock(self, conn: Connection, *, account_id: UUID) -> int:
        """A sale refers to its account, so none is claimed until this transaction ends."""

    async def obstacles(self, conn: Connection, *, account_id: UUID) -> ObstaclesRow:
        """What an account cannot be closed with: calls that run, calls that are owed or may be run again, and
        refused payments that may still land.
        """

    def version_ids(self, conn: Connection, *, account_id: UUID) -> AsyncIterator[VersionIdsRow]:
        """Every version, to be emptied."""

    async def empty_versions(self, conn: Connection, *, ids: list[UUID], sealed_templates: list[bytes]) -> int:
        """Titles and prices stay, because receipts and reports name them."""

    async def close(self, conn: Connection, *, account_id: UUID) -> int:
        """Without a daily cap nothing is claimed on it any more, not even by whoever was ready to."""


sql: Queries = load("closing")
