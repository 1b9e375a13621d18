"""The queries of `payment.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import PaymentState


class ClaimRow(NamedTuple):
    id: UUID


class Undecided(NamedTuple):
    payments: int
    seconds: float


class ReclaimRow(NamedTuple):
    id: UUID


class AliasRow(NamedTuple):
    payment_id: UUID


class Payment(NamedTuple):
    id: UUID
    state: PaymentState
    reason: str | None
    transaction: str | None
    network: str
    payer: str
    amount_atomic: int
    payload_sha256: bytes
    request_sha256: bytes
    quoted: bool
    execution_id: UUID


class Recorded(NamedTuple):
    id: UUID
    network: str
    asset: str
    payer: str
    nonce: bytes
    pay_to: str
    amount_atomic: int
    valid_before: datetime
    state: PaymentState
    sealed_payload: bytes | None
    version_id: UUID
    created_at: datetime
    account_id: UUID
    execution_id: UUID


class BeginSettlingAgainRow(NamedTuple):
    id: UUID


class PayRow(NamedTuple):
    id: UUID


class FailRow(NamedTuple):
    id: UUID


class MarkUnknownRow(NamedTuple):
    id: UUID


class RecordLateSettlementRow(NamedTuple):
    id: UUID


class ClearPayloadsRow(NamedTuple):
    id: UUID


class DeleteAliasesRow(NamedTuple):
    payment_id: UUID


class Queries(Protocol):
    """What `payment.sql` offers."""

    async def lock_payers(self, conn: Connection, *, payers: list[str]) -> int:
        """Claims and aliases of one wallet wait for each other, so that its undecided payments are counted exactly,
        and an authorization becomes one of both. Wallets are locked in one order, before anything else.
        """

    def claim(
        self,
        conn: Connection,
        *,
        ids: list[UUID],
        networks: list[str],
        assets: list[str],
        payers: list[str],
        nonces: list[bytes],
        pay_tos: list[str],
        amounts_atomic: list[int],
        valid_befores: list[datetime],
        version_ids: list[UUID],
        owners: list[UUID | None],
        payloads_sha256: list[bytes],
        requests_sha256: list[bytes],
        quoteds: list[bool],
        identifiers_sha256: list[bytes | None],
        sealed_payloads: list[bytes | None],
        undecided_limit: int,
    ) -> AsyncIterator[ClaimRow]:
        """One insert claims an authorization, and an identifier; a second presentation returns no row, and neither
        does an alias, or a payment of a wallet with too many undecided ones (a repetition in the same
        batch counts). Rows are inserted in a fixed order, so that concurrent claims of several hardly
        ever wait for each other.
        """

    async def undecided(self, conn: Connection, *, payer: str) -> Undecided:
        """How many payments of a wallet are undecided, and the seconds until recovery looks at the first of them."""

    async def reclaim(
        self, conn: Connection, *, owner: UUID | None, id: UUID, payload_sha256: bytes, request_sha256: bytes
    ) -> ReclaimRow | None:
        """A cleanly refused authorization that is still valid may come back with the identical payload and request;
        one that the chain shows as spent may not.
        """

    async def alias(
        self,
        conn: Connection,
        *,
        payment_id: UUID,
        network: str,
        asset: str,
        payer: str,
        nonce: bytes,
        payload_sha256: bytes,
        quoted: bool,
        valid_before: datetime,
    ) -> AliasRow | None:
        """An authorization is answered from another payment from now on, unless it was claimed or is an alias
        already.
        """

    async def find(self, conn: Connection, *, network: str, asset: str, payer: str, nonce: bytes) -> Payment | None:
        """The payment that this authorization was claimed as, or answered from, and its execution; with the proof of
        the sender that belongs to this authorization.
        """

    async def find_named(self, conn: Connection, *, identifier_sha256: bytes) -> Payment | None:
        """The payment that an identifier names, unless no money moved."""

    async def find_unfetched(
        self, conn: Connection, *, payer: str, request_sha256: bytes, network: str, seconds: float
    ) -> Payment | None:
        """The oldest payment of a wallet for the same request, without an identifier, whose outcome no client has
        yet.
        """

    async def find_lost(
        self, conn: Connection, *, payer: str, request_sha256: bytes, network: str, seconds: float
    ) -> Payment | None:
        """The newest payment of a wallet for the same request, without an identifier, whose outcome was written out
        within so many seconds, for a client that says that it got none. The index of the wallet's
        payments by time finds it.
        """

    async def mark_fetched(self, conn: Connection, *, ids: list[UUID]) -> int:
        """A client has the outcome. The commit need not reach the disk before the last byte goes out: a mark that a
        crash of Postgres loses gives a buyer the same answer once more, for nothing.
        """

    async def release_identifiers(self, conn: Connection, *, identifiers_sha256: list[bytes]) -> int:
        """A failed payment bought nothing, so its identifier may name the next one."""

    async def read(self, conn: Connection, *, id: UUID) -> Recorded:
        """A payment with what is needed to settle it again or to look for it on the chain."""

    async def begin_settling_again(
        self, conn: Connection, *, id: UUID, settle_limit: int
    ) -> BeginSettlingAgainRow | None:
        """Count one more request to settle an unknown payment, before it is made."""

    async def lock_transactions(self, conn: Connection, *, transactions: list[str]) -> int:
        """Payments that name one transaction are written one after the other, so that each sees the ones before."""

    def pay(
        self, conn: Connection, *, ids: list[UUID], transactions: list[str | None], reasons: list[str | None]
    ) -> AsyncIterator[PayRow]:
        """The money moved, in the transactions that prove it. A facilitator's word is no proof if another payment
        names the same transaction: it may hold several transfers, but only the chain shows whose they
        are.
        """

    async def fail(self, conn: Connection, *, reason: str | None, proved: bool, id: UUID) -> FailRow | None:
        """No money moved: refused before the broadcast, or proved by the chain."""

    async def mark_unknown(self, conn: Connection, *, reason: str | None, id: UUID) -> MarkUnknownRow | None:
        """It is unknown whether money moved; recovery will ask the chain."""

    async def record_late_settlement(
        self, conn: Connection, *, transaction: str | None, id: UUID
    ) -> RecordLateSettlementRow | None:
        """The payment was refused, but landed later."""

    async def mark_final(self, conn: Connection, *, id: UUID) -> int:
        """The payment was refused, and can no longer land."""

    def clear_payloads(self, conn: Connection, *, most: int) -> AsyncIterator[ClearPayloadsRow]:
        """Forget signed payloads that settle nothing any more: the payment was paid, or can no longer land, and has
        expired.
        """

    def delete_aliases(self, conn: Connection, *, most: int) -> AsyncIterator[DeleteAliasesRow]:
        """Delete expired aliases of payments whose content is deleted. One that is still valid would be settled as a
        new payment.
        """


sql: Queries = load("payment")
