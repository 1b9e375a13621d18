"""The queries of `export.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class VersionsRow(NamedTuple):
    slug: str
    archived_at: datetime | None
    id: UUID
    sealed_template: bytes
    document: str


class Queries(Protocol):
    """What `export.sql` offers."""

    def versions(self, conn: Connection, *, account_id: UUID) -> AsyncIterator[VersionsRow]:
        """Every version with all its columns, also those that are added later; the template is opened by its reader."""


sql: Queries = load("export")
