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


class DeleteContentRow(NamedTuple):
    id: UUID


class Queries(Protocol):
    """What `retention.sql` offers."""

    def deletable(self, conn: Connection, *, seconds: float, has_media: bool, most: int) -> AsyncIterator[DeletableRow]:
        """What is at rest for good: logged, with no re-run left and nothing owed; a refused payment that can no
        longer land. What may have files is told apart, because those lie elsewhere.
        """

    def delete_content(self, conn: Connection, *, ids: list[UUID]) -> AsyncIterator[DeleteContentRow]:
        """What was deletable a moment ago, unless somebody else was faster: nothing leads back from there."""


sql: Queries = load("retention")
