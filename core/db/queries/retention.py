"""The queries of `retention.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class DeletableRow(NamedTuple):
    id: UUID


class ErasableRow(NamedTuple):
    has_media: bool
    is_settled: bool


class DeleteContentRow(NamedTuple):
    id: UUID


class Queries(Protocol):
    """What `retention.sql` offers."""

    def deletable(self, conn: Connection, *, seconds: float, has_media: bool, most: int) -> AsyncIterator[DeletableRow]:
        """Executions that can no longer change, and ended so long ago. Those that may have files are selected
        separately, because files are in another store.
        """

    async def erasable(self, conn: Connection, *, id: UUID) -> ErasableRow | None:
        """Whether a buyer may have the content of an execution deleted now, and whether it may have files."""

    def delete_content(
        self, conn: Connection, *, erased_by_buyer: bool, ids: list[UUID]
    ) -> AsyncIterator[DeleteContentRow]:
        """Delete the content of these executions, unless a concurrent run has done so."""


sql: Queries = load("retention")
