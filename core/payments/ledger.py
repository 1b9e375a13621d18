"""The ledger: settling -> paid | failed | unknown; unknown -> paid | failed; a clean refusal may settle again.

Every transition is one conditional update in the caller's transaction, together with its effect on the execution.
A trigger writes the history.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from core import db
from core.db.queries.payment import Payment as Payment
from core.db.queries.payment import Recorded as Recorded
from core.db.queries.payment import sql
from core.executions import lifecycle
from core.payments import matching
from core.payments.x402_sdk import PaymentPayload
from core.resources import versions
from core.secrets.private import Private
from core.secrets.vault import vault

_PAYLOAD = "payments.sealed_payload"


async def find(conn: db.Connection, payload: PaymentPayload) -> Payment | None:
    """Find the payment that this authorization was claimed as, if any."""
    network, asset, payer, nonce = matching.key_of(payload)
    return await sql.find(conn, network=network, asset=asset, payer=payer, nonce=nonce)


async def is_identifier_taken(conn: db.Connection, resource_id: UUID, payload: PaymentPayload) -> bool:
    """Whether this payload's payment-identifier was used before with another payload."""
    identifier = matching.identifier_sha256(resource_id, payload)
    if identifier is None:
        return False
    owner_sha256 = await sql.owner_of_identifier(conn, identifier_sha256=identifier)
    return owner_sha256 is not None and bytes(owner_sha256) != matching.payload_sha256(payload)


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A payment to claim.

    Attributes:
        matched: the payment, matched and verified.
        version: the version that it buys.
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

    def sealed_payload(self) -> bytes:
        """Seal the payload for the ledger."""
        payload = self.matched.payload.model_dump_json(by_alias=True, exclude_none=True).encode()
        return vault().seal(payload, account=self.version.account_id, column=_PAYLOAD, row=self.payment_id)


async def claim(conn: db.Connection, requests: Sequence[ClaimRequest]) -> list[bool]:
    """Claim authorizations, each once: insert payment, execution and reservation in the caller's transaction.

    Args:
        conn: the transaction; settle nothing before it is committed.
        requests: the payments to claim.

    Returns:
        For each request, whether it was claimed. If not, another request was first; `find` returns its payment.

    Raises:
        Unavailable: a creator's cap or queue has no room for them; the transaction must roll back.
    """
    matched = [request.matched for request in requests]
    rows = sql.claim(
        conn,
        ids=[request.payment_id for request in requests],
        networks=[payment.network.id for payment in matched],
        assets=[payment.network.asset.lower() for payment in matched],
        payers=[payment.payer for payment in matched],
        nonces=[payment.nonce for payment in matched],
        pay_tos=[payment.pay_to for payment in matched],
        amounts_atomic=[payment.amount_atomic for payment in matched],
        valid_befores=[payment.valid_before for payment in matched],
        version_ids=[request.version.version_id for request in requests],
        owners=[request.owner for request in requests],
        payloads_sha256=[matching.payload_sha256(payment.payload) for payment in matched],
        requests_sha256=[matching.request_sha256(request.version.resource_id, request.inputs) for request in requests],
        quoteds=[payment.quoted for payment in matched],
        identifiers_sha256=[
            matching.identifier_sha256(request.version.resource_id, request.matched.payload) for request in requests
        ],
        sealed_payloads=[request.sealed_payload() for request in requests],
    )
    claimed = {row.id async for row in rows}
    executions = [
        lifecycle.NewExecution(request.version, request.inputs, request.payment_id, request.execution_id)
        for request in requests
        if request.payment_id in claimed
    ]
    if executions:
        await lifecycle.create(conn, executions)
    return [request.payment_id in claimed for request in requests]


async def reclaim(conn: db.Connection, payment: Payment, version: versions.Version, owner: UUID) -> bool:
    """Take a cleanly refused authorization back for settling, if it is still valid and came back unchanged.

    Raises:
        Unavailable: the creator's cap or queue has no room any more; the transaction must roll back.
    """
    reclaimed = await sql.reclaim(
        conn,
        id=payment.id,
        owner=owner,
        payload_sha256=payment.payload_sha256,
        request_sha256=payment.request_sha256,
    )
    if reclaimed:
        await lifecycle.rehold(conn, payment.id, version)
    return reclaimed is not None


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment whose money moved in `transaction`; `reason` is a code for how we know."""

    payment_id: UUID
    transaction: str
    reason: str


async def pay(conn: db.Connection, paid: Sequence[Paid]) -> None:
    """Mark payments as paid and queue their executions, in one transaction. Repeating it changes nothing."""
    rows = sql.pay(
        conn,
        ids=[payment.payment_id for payment in paid],
        transactions=[payment.transaction for payment in paid],
        reasons=[payment.reason for payment in paid],
    )
    await lifecycle.queue_paid(conn, [row.id async for row in rows])


async def fail(conn: db.Connection, payment_id: UUID, reason: str, *, proved: bool = False) -> None:
    """Mark a payment as failed, because no money moved, and void its execution.

    Args:
        conn: one transaction.
        payment_id: the payment.
        reason: the reason, as a code.
        proved: whether the chain shows that it can never land; otherwise the chain is watched until then.
    """
    if await sql.fail(conn, id=payment_id, reason=reason, proved=proved):
        await lifecycle.void(conn, payment_id)


async def record_late_settlement(conn: db.Connection, payment_id: UUID, transaction: str, *, has_room: bool) -> None:
    """Mark a refused payment that landed late as paid; its execution runs or is owed.

    Raises:
        Unavailable: with `has_room`, the creator has no room; the transaction must roll back.
    """
    if await sql.record_late_settlement(conn, id=payment_id, transaction=transaction):
        await (lifecycle.requeue if has_room else lifecycle.fail_owed)(conn, payment_id)


async def mark_final(conn: db.Connection, payment_id: UUID) -> None:
    """Mark a refused payment as final: it can no longer land."""
    await sql.mark_final(conn, id=payment_id)


async def mark_unknown(conn: db.Connection, payment_id: UUID, reason: str) -> None:
    """Mark a payment as unknown: recovery will ask the chain whether the money moved."""
    await sql.mark_unknown(conn, id=payment_id, reason=reason)


async def read(conn: db.Connection, payment_id: UUID) -> Recorded:
    """Read a recorded payment."""
    return await sql.read(conn, id=payment_id)


async def clear_payloads(pool: db.Pool, *, batch: int = 1000) -> int:
    """Clear the signed payloads of payments that are decided for good and have expired; the rest of them stays.

    Takes the pool and commits a batch at a time, so that a long backlog holds no locks.

    Returns:
        The number of payloads that were cleared.
    """
    total = 0
    while True:
        async with pool.connection() as conn:
            cleared = len([row async for row in sql.clear_payloads(conn, most=batch)])
        total += cleared
        if cleared < batch:
            return total


def open_payload(payment: Recorded) -> Private[PaymentPayload] | None:
    """Open the identical payload that was claimed; None if it was cleared, which happens only to decided payments."""
    if payment.sealed_payload is None:
        return None
    plain = vault().open(payment.sealed_payload, account=payment.account_id, column=_PAYLOAD, row=payment.id)
    return Private(PaymentPayload.model_validate_json(plain.reveal()))
