"""The queries of `refund.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import RefundState


class FallDueRow(NamedTuple):
    execution_id: UUID


class Refund(NamedTuple):
    execution_id: UUID
    handle: str
    payer: str
    network: str
    amount_atomic: int
    state: RefundState
    reason: str
    transaction: str | None
    note: str | None
    due_at: datetime
    decided_at: datetime | None


class RecordRow(NamedTuple):
    execution_id: UUID


class WaiveRow(NamedTuple):
    execution_id: UUID


class Queries(Protocol):
    """What `refund.sql` offers."""

    def fall_due(self, conn: Connection, *, rerun_limit: int) -> AsyncIterator[FallDueRow]:
        """Paid, failed, not the buyer's fault, and no re-run left in number or in time: from now on it is owed.
        Taking the re-run away in the same statement keeps one that comes at the same moment from running
        what is paid back.
        """

    def listing(
        self, conn: Connection, *, state: RefundState | None, handle: str | None, most: int
    ) -> AsyncIterator[Refund]:
        """What is owed or was, oldest first, with everything that is needed to pay it back."""

    async def record(
        self, conn: Connection, *, transaction: str | None, note: str | None, execution_id: UUID
    ) -> RecordRow | None:
        """It was paid back, by this transfer. Said once."""

    async def waive(self, conn: Connection, *, note: str | None, execution_id: UUID) -> WaiveRow | None:
        """It will not be paid back, and this is why. Said once."""


sql: Queries = load("refund")
