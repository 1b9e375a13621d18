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
from core.failures import TooManyUndecided
from core.payments import matching
from core.payments.x402_sdk import PaymentPayload
from core.resources import versions
from core.secrets.private import Private
from core.secrets.vault import vault
from core.settings import settings

_PAYLOAD = "payments.sealed_payload"


async def find(conn: db.Connection, payload: PaymentPayload) -> Payment | None:
    """Find the payment that this authorization was claimed as, or was answered from, if any.

    Its payload hash and `quoted` are those of this authorization.
    """
    network, asset, payer, nonce = matching.key_of(payload)
    return await sql.find(conn, network=network, asset=asset, payer=payer, nonce=nonce)


async def find_named(conn: db.Connection, resource_id: UUID, payload: PaymentPayload) -> Payment | None:
    """Find the payment that this payload's payment-identifier names at a resource.

    Returns:
        None without an identifier, for a new one, and if the payment that it named has failed.
    """
    identifier = matching.identifier_sha256(resource_id, payload)
    return None if identifier is None else await sql.find_named(conn, identifier_sha256=identifier)


async def _mark_fetched(conn: db.Connection, payment_ids: Sequence[UUID]) -> list[None]:
    await sql.mark_fetched(conn, ids=list(payment_ids))
    return [None] * len(payment_ids)


_fetched: db.BatchWriter[UUID, None] = db.BatchWriter(_mark_fetched, db.run_in_autocommit)


async def mark_fetched(pool: db.Pool, payment_id: UUID) -> None:
    """Note that a client has the outcome of a payment: its wallet's next one for the same request buys again.

    Takes the pool: marks of one moment share a statement.
    """
    await _fetched.add(pool, payment_id)


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A payment to claim. Sealing and hashing are done at once: claims share a transaction, and none may fail there.

    Attributes:
        matched: the payment, matched and verified.
        version: the version that it buys.
        inputs: validated inputs.
        owner: the worker that will settle it.
        is_streamed: whether the buyer wants to hear of it while it is made.
        payment_id, execution_id: fresh ids.
        execution: what it buys, sealed.
        payload_sha256, request_sha256, identifier_sha256, sealed_payload: hashed by `matching`, and sealed.

    Raises:
        PaymentMalformed: its payment-identifier has another form.
    """

    matched: matching.MatchedPayment
    version: versions.Version
    inputs: dict[str, str]
    owner: UUID
    is_streamed: bool = False
    payment_id: UUID = field(default_factory=uuid4)
    execution_id: UUID = field(default_factory=uuid4)
    execution: lifecycle.NewExecution = field(init=False)
    payload_sha256: bytes = field(init=False)
    request_sha256: bytes = field(init=False)
    identifier_sha256: bytes | None = field(init=False)
    sealed_payload: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compute everything that depends on what the buyer wrote."""
        payload, resource_id, wants = self.matched.payload, self.version.resource_id, self.is_streamed
        plain = payload.model_dump_json(by_alias=True, exclude_none=True).encode()
        computed = {
            "execution": lifecycle.NewExecution(self.version, self.inputs, self.payment_id, self.execution_id, wants),
            "payload_sha256": matching.payload_sha256(payload),
            "request_sha256": matching.request_sha256(resource_id, self.inputs),
            "identifier_sha256": matching.identifier_sha256(resource_id, payload),
            "sealed_payload": vault().seal(
                plain, account=self.version.account_id, column=_PAYLOAD, row=self.payment_id
            ),
        }
        for name, value in computed.items():
            object.__setattr__(self, name, value)  # frozen


async def claim(conn: db.Connection, requests: Sequence[ClaimRequest]) -> list[bool]:
    """Claim authorizations, each once: insert payment, execution and reservation in the caller's transaction.

    Args:
        conn: the transaction; settle nothing before it is committed.
        requests: the payments to claim.

    Returns:
        For each request, whether it was claimed. If not, another request was first with the authorization (also as an
        alias) or the identifier, and `find` or `find_named` returns its payment; or its wallet has too many undecided
        payments, and `require_room` raises.

    Raises:
        Unavailable: a creator's cap or queue has no room for them; the transaction must roll back.
    """
    matched = [request.matched for request in requests]
    await sql.lock_payers(conn, payers=[payment.payer for payment in matched])
    identifiers = [request.identifier_sha256 for request in requests]
    if named := [identifier for identifier in identifiers if identifier is not None]:
        await sql.release_identifiers(conn, identifiers_sha256=named)
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
        payloads_sha256=[request.payload_sha256 for request in requests],
        requests_sha256=[request.request_sha256 for request in requests],
        quoteds=[payment.quoted for payment in matched],
        identifiers_sha256=identifiers,
        sealed_payloads=[request.sealed_payload for request in requests],
        undecided_limit=settings().undecided_limit,
    )
    claimed = {row.id async for row in rows}
    executions = [request.execution for request in requests if request.payment_id in claimed]
    if executions:
        await lifecycle.create(conn, executions)
    return [request.payment_id in claimed for request in requests]


async def require_room(conn: db.Connection, payer: str, *, already: int = 0) -> None:
    """Check that a wallet may have one more undecided payment; `already` is 1 if it is counted as undecided already.

    Raises:
        TooManyUndecided: the others are as many as it may have.
    """
    row = await sql.undecided(conn, payer=payer)
    if (others := row.payments - already) >= settings().undecided_limit:
        raise TooManyUndecided(others, max(row.seconds, settings().recovery_seconds))


async def reclaim(conn: db.Connection, payment: Payment, version: versions.Version, owner: UUID) -> bool:
    """Take a cleanly refused authorization back for settling, if it is still valid and came back unchanged.

    Raises:
        Unavailable: the creator's cap or queue has no room any more; the transaction must roll back.
        TooManyUndecided: the wallet has too many undecided payments; the transaction must roll back.
    """
    await sql.lock_payers(conn, payers=[payment.payer])
    reclaimed = await sql.reclaim(
        conn,
        id=payment.id,
        owner=owner,
        payload_sha256=payment.payload_sha256,
        request_sha256=payment.request_sha256,
    )
    if reclaimed:
        await require_room(conn, payment.payer, already=1)
        await lifecycle.rehold(conn, payment.id, version)
    return reclaimed is not None


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment whose money moved in `transaction`; `reason` is a code for how we know."""

    payment_id: UUID
    transaction: str
    reason: str


async def pay(conn: db.Connection, paid: Sequence[Paid]) -> list[bool]:
    """Mark payments as paid and queue their executions, in one transaction. Repeating it changes nothing.

    Returns:
        For each, whether it was marked now. If not, it was decided before; or a facilitator told of a transaction that
        another payment names too, and only the chain can tell whose transfers it holds.
    """
    await sql.lock_transactions(conn, transactions=[payment.transaction for payment in paid])
    rows = sql.pay(
        conn,
        ids=[payment.payment_id for payment in paid],
        transactions=[payment.transaction for payment in paid],
        reasons=[payment.reason for payment in paid],
    )
    marked = [row.id async for row in rows]
    await lifecycle.queue_paid(conn, marked)
    return [payment.payment_id in marked for payment in paid]


async def fail(conn: db.Connection, payment_id: UUID, reason: str, *, proved: bool = False) -> None:
    """Mark a payment as failed, because no money moved, and void its execution.

    Args:
        conn: one transaction.
        payment_id: the payment.
        reason: the reason, as a code.
        proved: whether the chain shows that it can never land; otherwise the chain is streamed until then.
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


async def begin_settling_again(conn: db.Connection, payment_id: UUID) -> bool:
    """Count one more request to settle an unknown payment; False if there were INSTANT_SETTLE_LIMIT of them."""
    return await sql.begin_settling_again(conn, id=payment_id, settle_limit=settings().settle_limit) is not None


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
