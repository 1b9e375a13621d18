"""The ledger: settling -> paid | failed | unknown; unknown -> paid | failed; a clean refusal may settle again.

Every transition is one conditional update in the caller's transaction, together with what it means for the execution;
its history is written by a trigger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from core import db
from core.executions import lifecycle
from core.payments import matching
from core.payments.x402_sdk import PaymentPayload
from core.resources import versions
from core.secrets.private import Private
from core.secrets.vault import vault

sql = db.load("payment")

_PAYLOAD = "payments.sealed_payload"


@dataclass(frozen=True, slots=True)
class Payment:
    """What a buyer may have to be told about an authorization that was presented before."""

    id: UUID
    execution_id: UUID
    state: str
    reason: str | None
    transaction: str | None
    network: str
    amount_atomic: int
    payload_sha256: bytes
    request_sha256: bytes
    quoted: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    """A payment as recorded, with what is needed to settle it again or to look for it on the chain."""

    id: UUID
    execution_id: UUID
    account_id: UUID
    network: str
    payer: str
    nonce: bytes
    pay_to: str
    amount_atomic: int
    valid_before: datetime
    created_at: datetime
    sealed_payload: bytes


async def find(conn: db.Connection, payload: PaymentPayload) -> Payment | None:
    """The payment that this authorization made, if it was claimed before."""
    network, asset, payer, nonce = matching.key_of(payload)
    row = await sql.find(conn, network=network, asset=asset, payer=payer, nonce=nonce)
    return Payment(**row._asdict()) if row else None


async def is_identifier_taken(conn: db.Connection, resource_id: UUID, payload: PaymentPayload) -> bool:
    """Whether the payment-identifier of this payload came with another payload before."""
    identifier = matching.identifier_sha256(resource_id, payload)
    if identifier is None:
        return False
    first = await sql.owner_of_identifier(conn, identifier_sha256=identifier)
    return first is not None and bytes(first) != matching.payload_sha256(payload)


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What somebody wants to claim.

    Attributes:
        matched: the payment, matched and verified.
        version: what it buys.
        inputs: validated inputs.
        owner: the worker that will settle it.
        payment_id, execution_id: fresh ids.
    """

    matched: matching.MatchedPayment
    version: versions.Version
    inputs: dict[str, str]
    owner: UUID
    payment_id: UUID = field(default_factory=uuid4)
    execution_id: UUID = field(default_factory=uuid4)

    def row(self) -> dict[str, object]:
        """Its payment, as it is kept."""
        payload = self.matched.payload.model_dump_json(by_alias=True, exclude_none=True).encode()
        return {
            "ids": self.payment_id,
            "networks": self.matched.network.id,
            "assets": self.matched.network.asset.lower(),
            "payers": self.matched.payer,
            "nonces": self.matched.nonce,
            "pay_tos": self.matched.pay_to,
            "amounts_atomic": self.matched.amount_atomic,
            "valid_befores": self.matched.valid_before,
            "version_ids": self.version.version_id,
            "owners": self.owner,
            "payloads_sha256": matching.payload_sha256(self.matched.payload),
            "requests_sha256": matching.request_sha256(self.version.resource_id, self.inputs),
            "quoteds": self.matched.quoted,
            "identifiers_sha256": matching.identifier_sha256(self.version.resource_id, self.matched.payload),
            "sealed_payloads": vault().seal(
                payload, account=self.version.account_id, column=_PAYLOAD, row=self.payment_id
            ),
        }


async def claim(conn: db.Connection, requests: Sequence[ClaimRequest]) -> list[bool]:
    """Take authorizations, each once: payment, execution and reservation in the caller's one transaction.

    Args:
        conn: the transaction; nothing is settled before it is committed.
        requests: what is to be claimed.

    Returns:
        Of each, whether it was claimed; if not, somebody was first: look it up with `find`.

    Raises:
        Unavailable: when a creator's cap or queue has no room for them; the transaction must roll back.
    """
    rows = [request.row() for request in requests]
    claimed = {row.id async for row in sql.claim(conn, **{name: [row[name] for row in rows] for name in rows[0]})}
    new = [
        lifecycle.NewExecution(request.version, request.inputs, request.payment_id, request.execution_id)
        for request in requests
        if request.payment_id in claimed
    ]
    if new:
        await lifecycle.create(conn, new)
    return [request.payment_id in claimed for request in requests]


async def reclaim(conn: db.Connection, payment: Payment, version: versions.Version, owner: UUID) -> bool:
    """Settle a cleanly refused authorization again, if it is still valid and came back unchanged.

    Raises:
        Unavailable: when the creator's cap or queue has no room any more; the transaction must roll back.
    """
    again = await sql.reenter(
        conn,
        id=payment.id,
        owner=owner,
        payload_sha256=payment.payload_sha256,
        request_sha256=payment.request_sha256,
    )
    if again:
        await lifecycle.rehold(conn, payment.id, version)
    return again is not None


@dataclass(frozen=True, slots=True)
class Paid:
    """Money moved, in this transaction; the reason says as a code how we know."""

    payment_id: UUID
    transaction: str
    reason: str


async def pay(conn: db.Connection, paid: Sequence[Paid]) -> None:
    """Money moved: the payments are paid and their executions queued, in one transaction. Repeating changes nothing."""
    rows = sql.pay(
        conn,
        ids=[one.payment_id for one in paid],
        transactions=[one.transaction for one in paid],
        reasons=[one.reason for one in paid],
    )
    await lifecycle.queue_paid(conn, [row.id async for row in rows])


async def fail(conn: db.Connection, payment_id: UUID, reason: str, *, proved: bool = False) -> None:
    """No money moved: the payment failed and its execution is void.

    Args:
        conn: one transaction.
        payment_id: which payment.
        reason: as a code.
        proved: whether the chain has shown that it can never land; otherwise it is watched until it cannot.
    """
    if await sql.fail(conn, id=payment_id, reason=reason, proved=proved):
        await lifecycle.void(conn, payment_id)


async def record_late_settlement(conn: db.Connection, payment_id: UUID, transaction: str, *, has_room: bool) -> None:
    """A payment that was refused landed all the same: it is paid, and its execution runs or is owed.

    Raises:
        Unavailable: with `has_room`, when the creator has none; the transaction must roll back.
    """
    if await sql.land(conn, id=payment_id, transaction=transaction):
        await (lifecycle.requeue if has_room else lifecycle.fail_owed)(conn, payment_id)


async def mark_final(conn: db.Connection, payment_id: UUID) -> None:
    """A payment that was refused can no longer land."""
    await sql.prove(conn, id=payment_id)


async def mark_unknown(conn: db.Connection, payment_id: UUID, reason: str) -> None:
    """Nobody knows whether money moved: recovery will ask the chain."""
    await sql.doubt(conn, id=payment_id, reason=reason)


async def read(conn: db.Connection, payment_id: UUID) -> Recorded:
    """A recorded payment."""
    row: Any = await sql.read(conn, id=payment_id)
    return Recorded(**{name: getattr(row, name) for name in Recorded.__slots__})


def open_payload(payment: Recorded) -> Private[PaymentPayload]:
    """The identical payload that was claimed."""
    plain = vault().open(payment.sealed_payload, account=payment.account_id, column=_PAYLOAD, row=payment.id)
    return Private(PaymentPayload.model_validate_json(plain.reveal()))
