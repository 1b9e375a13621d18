"""The queries of `money.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import ExecutionState, Fault, PaymentState, RefundState


class SumsRow(NamedTuple):
    network: str
    asset: str
    place: Literal[
        "answered", "astray", "failed", "in_flight", "refund_due", "refunded", "rerunnable", "undecided", "waived"
    ]
    payments: int
    amount_atomic: int


class DifferenceRow(NamedTuple):
    code: Literal[
        "history_differs",
        "hold_differs",
        "owed_not_due",
        "paid_not_run",
        "refund_differs",
        "resource_spend_differs",
        "run_not_paid",
        "spend_differs",
        "transfer_shared",
        "usage_amount",
        "usage_dropped",
        "usage_missing",
        "usage_outcome",
        "usage_surplus",
    ]
    sentence: str
    network: str | None
    payment_id: UUID | None
    execution_id: UUID | None
    account_id: UUID | None
    transaction: str | None


class AddressesRow(NamedTuple):
    address: str
    offered_at: datetime | None
    paid_at: datetime | None


class RecogniseRow(NamedTuple):
    code: Literal[
        "agrees", "landed_not_paid", "transfer_differs", "transfer_foreign", "transfer_unrecorded", "undecided"
    ]
    transaction: str
    payment_id: UUID | None
    state: PaymentState | None
    execution_id: UUID | None
    account_id: UUID | None
    payer: str
    recipient: str
    amount_atomic: Decimal


class PaidRow(NamedTuple):
    payment_id: UUID
    transaction: str | None
    decided_at: datetime
    execution_id: UUID | None
    account_id: UUID | None


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
    code: str | None
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
    """What `money.sql` offers."""

    def sums(self, conn: Connection, *, network: str | None, since: datetime | None) -> AsyncIterator[SumsRow]:
        """Where the money of every payment is: each payment is in exactly one place, so that the places add up."""

    def compare_executions(
        self, conn: Connection, *, network: str | None, since: datetime | None
    ) -> AsyncIterator[DifferenceRow]:
        """Money that bought nothing, and work that nobody paid for: both change in one transaction, so no moment is
        excused.
        """

    def compare_usage(
        self, conn: Connection, *, network: str | None, since: datetime | None, grace_seconds: float
    ) -> AsyncIterator[DifferenceRow]:
        """Every finished round has one usage row, and the first carries what was paid. Only the last may still be on
        its way. Months whose rows were dropped are compared by their sums instead.
        """

    def compare_dropped(
        self, conn: Connection, *, since: datetime | None, network: str | None
    ) -> AsyncIterator[DifferenceRow]:
        """Where the rows of a month were dropped: what was counted of them, and what was logged later, is what had
        ended.
        """

    def compare_refunds(
        self, conn: Connection, *, network: str | None, since: datetime | None, grace_seconds: float, rerun_limit: int
    ) -> AsyncIterator[DifferenceRow]:
        """Paid means answered or owed: what failed is owed when no re-run is left, and what was answered never is."""

    def compare_history(
        self, conn: Connection, *, network: str | None, since: datetime | None
    ) -> AsyncIterator[DifferenceRow]:
        """The history is written by a trigger: a payment that differs from its last row was changed behind the
        trigger's back.
        """

    def compare_transactions(
        self, conn: Connection, *, network: str | None, since: datetime | None
    ) -> AsyncIterator[DifferenceRow]:
        """Two payments that one transfer seems to have paid. A transaction may hold several transfers; the chain
        tells then.
        """

    def compare_spend(self, conn: Connection, *, since: datetime | None) -> AsyncIterator[DifferenceRow]:
        """A creator's day is the sum of its reservations; they change in one statement."""

    def compare_resource_spend(self, conn: Connection, *, since: datetime | None) -> AsyncIterator[DifferenceRow]:
        """A resource's day is the sum of the reservations made for it, or its own cap is measured against something
        else.
        """

    def addresses(self, conn: Connection, *, network: str) -> AsyncIterator[AddressesRow]:
        """Whose transfers to look for, and since when: where buyers were told to pay, now or ever."""

    def recognise(
        self,
        conn: Connection,
        *,
        margin_seconds: float,
        payers: list[str],
        nonces: list[bytes | None],
        recipients: list[str],
        amounts: list[Decimal],
        transactions: list[str],
        network: str,
        asset: str,
    ) -> AsyncIterator[RecogniseRow]:
        """What the ledger says of transfers that the chain shows; one without a nonce was made without an
        authorization. One of another amount or recipient than its payment paid for something else, unless
        the payment says it is paid.
        """

    def paid(
        self, conn: Connection, *, network: str, asset: str, since: datetime, after: UUID, most: int
    ) -> AsyncIterator[PaidRow]:
        """One page of what the ledger says was paid, by id, to be looked for among the chain's transfers."""

    def find_payments(self, conn: Connection, *, id: UUID | None, transaction: str | None) -> AsyncIterator[PaymentRow]:
        """A payment by its own id, its execution's or its transaction, with what it bought and from whom."""

    def story(self, conn: Connection, *, payment_id: UUID) -> AsyncIterator[Event]:
        """Everything that happened to one payment and what it bought, in the order in which it did."""

    def listing(
        self, conn: Connection, *, network: str | None, state: PaymentState | None, handle: str | None, most: int
    ) -> AsyncIterator[ListedPayment]:
        """The newest payments, of one network, state or creator."""


sql: Queries = load("money")
