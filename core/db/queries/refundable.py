"""The queries of `refundable.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class Queries(Protocol):
    """What `refundable.sql` offers."""

    async def note(self, conn: Connection, *, id: UUID) -> int:
        """The round of a paid execution has failed in a way that a buyer's words can cause. Rows that no longer
        count go.
        """

    async def refused_until(self, conn: Connection, *, payer: str, resource_id: UUID, most: int) -> datetime | None:
        """When this wallet may buy this resource again; NULL when it may now."""

    async def is_rerun_refused(self, conn: Connection, *, most: int, id: UUID) -> bool | None:
        """Whether the wallet that paid for an execution may not buy its resource now."""


sql: Queries = load("refundable")
