"""The queries of `refund_transfer.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import RefundState, TransferState


class Payable(NamedTuple):
    execution_id: UUID
    account_id: UUID
    handle: str
    network: str
    asset: str
    pay_to: str
    amount_atomic: int
    due_at: datetime
    paid_at: datetime
    received_by: str
    payout: str | None
    stored: str | None
    bound_to: str | None
    valid_before: datetime | None


class Locked(NamedTuple):
    execution_id: UUID
    account_id: UUID
    state: RefundState
    amount_atomic: int
    transfer_id: UUID | None


class WantedRow(NamedTuple):
    asset: str
    pay_to: str
    amount_atomic: int
    paid_at: datetime


class Reserved(NamedTuple):
    id: UUID
    network: str
    asset: str
    payer: str
    nonce: bytes
    pay_to: str
    amount_atomic: int
    valid_before: datetime


class Transfer(NamedTuple):
    id: UUID
    execution_id: UUID
    account_id: UUID
    network: str
    asset: str
    payer: str
    nonce: bytes
    pay_to: str
    amount_atomic: int
    valid_before: datetime
    state: TransferState
    reason: str | None
    transaction: str | None
    paid_at: datetime


class LandRow(NamedTuple):
    execution_id: UUID


class VoidRow(NamedTuple):
    execution_id: UUID


class TakeSendingRow(NamedTuple):
    id: UUID


class Queries(Protocol):
    """What `refund_transfer.sql` offers."""

    def payable(
        self, conn: Connection, *, account_id: UUID | None, handle: str | None, execution_id: UUID | None, most: int
    ) -> AsyncIterator[Payable]:
        """Refunds that are due, oldest first, with everything that is needed to pay them, and the wallet that may
        pay them now.
        """

    async def lock(self, conn: Connection, *, execution_id: UUID) -> Locked | None:
        """A refund, until this transaction ends. Whoever records, waives or pays it waits here, and then sees what
        was done.
        """

    async def wanted(self, conn: Connection, *, execution_id: UUID) -> WantedRow | None:
        """What a transfer of a due refund must be like."""

    async def bound_to(self, conn: Connection, *, id: UUID) -> str | None:
        """The wallet of a transfer. A statement of its own after `lock`, so that it sees what was committed
        meanwhile.
        """

    async def reserve(
        self,
        conn: Connection,
        *,
        payer: str,
        nonce: bytes,
        seconds: float,
        is_capped: bool,
        execution_id: UUID,
        least_seconds: float,
    ) -> Reserved | None:
        """Record an authorization before it is signed. One that is valid for long enough stays as it is, so that it
        is signed again with the same bytes; otherwise it gets a new end. Runs under `lock`.
        """

    async def find_reserved(self, conn: Connection, *, execution_id: UUID, payer: str) -> Reserved | None:
        """The transfer of a refund that a wallet was asked to sign, while it is open."""

    async def bind(self, conn: Connection, *, transfer_id: UUID | None, execution_id: UUID) -> int:
        """From now on only this transfer may pay the refund. Runs under `lock`."""

    async def read(self, conn: Connection, *, id: UUID) -> Transfer:
        """A transfer with what is needed to look for it on the chain."""

    async def note(self, conn: Connection, *, reason: str | None, transaction: str | None, id: UUID) -> int:
        """What was said of a transfer that was sent."""

    async def land(self, conn: Connection, *, transaction: str | None, id: UUID) -> LandRow | None:
        """The chain shows the transfer: the refund is paid. Runs under `lock`."""

    async def void(self, conn: Connection, *, reason: str | None, id: UUID, valid_before: datetime) -> VoidRow | None:
        """The chain shows that the transfer can never move the money: another may pay the refund. Not if it was
        signed anew. Runs under `lock`.
        """

    def take_sending(
        self, conn: Connection, *, account_id: UUID | None, pause_seconds: float, most: int
    ) -> AsyncIterator[TakeSendingRow]:
        """Transfers that are not decided, and that the chain was not asked about just now."""


sql: Queries = load("refund_transfer")
