"""The queries of `reconciliation.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import PaymentState


class SumsRow(NamedTuple):
    network: str
    asset: str
    place: Literal[
        "answered", "failed", "in_flight", "refund_due", "refunded", "rerunnable", "unaccounted", "undecided", "waived"
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
        "agrees",
        "landed_not_paid",
        "refund",
        "transfer_differs",
        "transfer_foreign",
        "transfer_found",
        "transfer_unrecorded",
        "undecided",
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


class RefundedRow(NamedTuple):
    id: UUID
    payer: str
    nonce: bytes
    pay_to: str
    amount_atomic: int
    transaction: str
    decided_at: datetime
    execution_id: UUID
    account_id: UUID
    payment_id: UUID


class Queries(Protocol):
    """What `reconciliation.sql` offers."""

    def sums(self, conn: Connection, *, network: str | None, since: datetime | None) -> AsyncIterator[SumsRow]:
        """Sum the payments by state of the money: each payment is in exactly one, so the sums add up."""

    def compare_executions(
        self, conn: Connection, *, network: str | None, since: datetime | None
    ) -> AsyncIterator[DifferenceRow]:
        """Payments without an execution, and executions that run unpaid. Both sides change in one transaction: no
        grace period.
        """

    def compare_usage(
        self, conn: Connection, *, network: str | None, since: datetime | None, grace_seconds: float
    ) -> AsyncIterator[DifferenceRow]:
        """Every finished round has one usage row, and the first carries the amount paid. Only the last round's may
        be missing for a moment. Months whose rows were dropped are compared by their sums instead.
        """

    def compare_dropped(
        self, conn: Connection, *, since: datetime | None, network: str | None
    ) -> AsyncIterator[DifferenceRow]:
        """For months whose rows were dropped: their rollups plus rows logged later must equal the finished rounds."""

    def compare_refunds(
        self, conn: Connection, *, network: str | None, since: datetime | None, rerun_limit: int, grace_seconds: float
    ) -> AsyncIterator[DifferenceRow]:
        """Paid means answered or owed: a failed execution is owed when no re-run is left, and an answered one never
        is.
        """

    def compare_history(
        self, conn: Connection, *, network: str | None, since: datetime | None
    ) -> AsyncIterator[DifferenceRow]:
        """A trigger writes the history: a payment that differs from its last history row was changed while the
        trigger was off.
        """

    def compare_transactions(
        self, conn: Connection, *, network: str | None, since: datetime | None
    ) -> AsyncIterator[DifferenceRow]:
        """Several payments that name the same transfer. A transaction may hold several transfers; then the chain
        decides.
        """

    def compare_spend(self, conn: Connection, *, since: datetime | None) -> AsyncIterator[DifferenceRow]:
        """A creator's spending of a day is the sum of its reservations. Both change in one statement."""

    def compare_resource_spend(self, conn: Connection, *, since: datetime | None) -> AsyncIterator[DifferenceRow]:
        """A resource's spending of a day is the sum of its reservations. Otherwise its own cap would not hold."""

    def addresses(self, conn: Connection, *, network: str) -> AsyncIterator[AddressesRow]:
        """The addresses to watch, and since when: every address that buyers were asked to pay, now or before."""

    def recognise(
        self,
        conn: Connection,
        *,
        network: str,
        asset: str,
        margin_seconds: float,
        payers: list[str],
        nonces: list[bytes | None],
        recipients: list[str],
        amounts: list[Decimal],
        transactions: list[str],
    ) -> AsyncIterator[RecogniseRow]:
        """Compare transfers on the chain with the ledger. A transfer without a nonce was made without an
        authorization. A transfer of another amount or recipient than its payment is foreign, unless the
        payment is recorded as paid. One that was found after a restore is owed.
        """

    def paid(
        self, conn: Connection, *, network: str, asset: str, since: datetime, after: UUID, most: int
    ) -> AsyncIterator[PaidRow]:
        """One page of paid payments, by id, to be found among the chain's transfers. One that was claimed after its
        authorization had ended, because the chain showed it, may have landed earlier than the transfers
        that were read.
        """

    def refunded(
        self, conn: Connection, *, network: str, asset: str, since: datetime, after: UUID, most: int
    ) -> AsyncIterator[RefundedRow]:
        """One page of refunds that transfers of ours paid, by transfer, to be looked up on the chain."""

    def compare_refund_transfers(
        self, conn: Connection, *, network: str | None, since: datetime | None
    ) -> AsyncIterator[DifferenceRow]:
        """A refund that a transfer paid names it, and no refund but a due or paid one is bound to a transfer."""


sql: Queries = load("reconciliation")
