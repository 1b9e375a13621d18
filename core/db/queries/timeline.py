"""The queries of `timeline.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import ExecutionState, Fault, OutcomeCode, PaymentState, RefundState


class PaymentRow(NamedTuple):
    id: UUID
    state: PaymentState
    reason: str | None
    transaction: str | None
    network: str
    asset: str
    payer: str
    nonce: bytes
    pay_to: str
    amount_atomic: int
    created_at: datetime
    decided_at: datetime | None
    valid_before: datetime
    proved_at: datetime | None
    execution_id: UUID | None
    execution_state: ExecutionState | None
    code: OutcomeCode | None
    fault: Fault | None
    detail: str | None
    round: int | None
    rerun_until: datetime | None
    handle: str
    slug: str
    version: int
    refund_state: RefundState | None


class Event(NamedTuple):
    at: datetime
    event: str
    round: int | None
    detail: str | None
    transaction: str | None
    flow_run_id: UUID | None


class ListedPayment(NamedTuple):
    id: UUID
    created_at: datetime
    state: PaymentState
    reason: str | None
    amount_atomic: int
    network: str
    payer: str
    transaction: str | None
    handle: str
    slug: str
    execution_id: UUID | None
    execution_state: ExecutionState | None
    refund_state: RefundState | None


class Queries(Protocol):
    """What `timeline.sql` offers."""

    def find_payments(self, conn: Connection, *, id: UUID | None, transaction: str | None) -> AsyncIterator[PaymentRow]:
        """A payment by its own id, its execution's id or its transaction, with resource and creator."""

    def timeline(self, conn: Connection, *, payment_id: UUID) -> AsyncIterator[Event]:
        """All events of one payment and its execution, in order."""

    def listing(
        self, conn: Connection, *, network: str | None, state: PaymentState | None, handle: str | None, most: int
    ) -> AsyncIterator[ListedPayment]:
        """The newest payments, of one network, state or creator."""


sql: Queries = load("timeline")
