"""The queries of `payout.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class PayoutRow(NamedTuple):
    network: str
    address: str
    next_address: str | None
    next_from: datetime | None


class Queries(Protocol):
    """What `payout.sql` offers."""

    def listing(self, conn: Connection, *, account_id: UUID) -> AsyncIterator[PayoutRow]:
        """The address in force on each network, and the one that follows it."""

    async def change(
        self, conn: Connection, *, account_id: UUID, network: str, address: str, delay_seconds: float
    ) -> int:
        """The first address on a network is in force at once: no buyer paid another one there. A change that is in
        force becomes the old address; one that is not is replaced.
        """

    async def cancel(self, conn: Connection, *, account_id: UUID, network: str) -> int:
        """Only a change that is not in force yet."""


sql: Queries = load("payout")
