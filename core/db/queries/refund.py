"""The queries of `refund.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import RefundState, TransferState


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
    paid_from: str | None
    transfer: TransferState | None


class RecordRow(NamedTuple):
    execution_id: UUID


class WaiveRow(NamedTuple):
    execution_id: UUID


class Queries(Protocol):
    """What `refund.sql` offers."""

    def fall_due(self, conn: Connection, *, rerun_limit: int) -> AsyncIterator[FallDueRow]:
        """Paid executions that failed without the buyer's fault and have no re-run left, in number or time: a refund
        is due. The same statement removes the re-run, so that a concurrent one cannot run what is
        refunded.
        """

    def listing(
        self, conn: Connection, *, state: RefundState | None, handle: str | None, most: int
    ) -> AsyncIterator[Refund]:
        """Refunds, oldest first, with everything that is needed to pay them, and the transfer that may pay or has
        paid them.
        """

    async def record(
        self, conn: Connection, *, transaction: str | None, note: str | None, execution_id: UUID
    ) -> RecordRow | None:
        """The refund was paid by this transfer. Only a due refund can be recorded, and not while a transfer of ours
        may pay it.
        """

    async def waive(self, conn: Connection, *, note: str | None, execution_id: UUID) -> WaiveRow | None:
        """The refund will not be paid, with the reason. Only a due refund can be waived, and not while a transfer
        may pay it.
        """

    async def is_bound(self, conn: Connection, *, execution_id: UUID) -> bool:
        """Whether a transfer of ours may pay a due refund."""


sql: Queries = load("refund")
