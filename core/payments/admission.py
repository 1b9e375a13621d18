"""From a payment header to a claimed execution: look up, match, verify, claim, settle.

The order survives replays, races and lost replies (docs/design.md): nothing is settled before its claim is committed,
and nothing that could be refused before payment is refused after it. Every way to buy goes through `admit`.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

from core import db
from core.executions import status_tokens
from core.failures import (
    NotFound,
    PaymentConflict,
    PaymentMalformed,
    PaymentRequired,
    TooLarge,
    Unavailable,
    log_unexpected_end,
)
from core.observability import metrics, tracing
from core.payments import codec, ledger, matching, quotes, settlement
from core.payments.facilitator import Refused, Verdict
from core.resources import readiness, versions
from core.settings import settings

T = TypeVar("T")


class Door(Protocol):
    """What an entrance lends to an admission.

    Attributes:
        pool: our database.
        clients: connections to facilitators and chain nodes.
        worker_id: owns the payments that this process settles.
    """

    @property
    def pool(self) -> db.Pool: ...
    @property
    def clients(self) -> settlement.PaymentClients: ...
    @property
    def worker_id(self) -> UUID: ...

    async def ready(self, version: versions.Version) -> readiness.Ready:
        """Whether this version could be sold and run now.

        Raises:
            Unavailable: as by `readiness.readiness`.
        """

    async def limit_payer(self, payer: str) -> None:
        """Count one payment of a wallet.

        Raises:
            TooManyRequests: if it pays too often.
        """

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run what moves money in a task that outlives the buyer's connection; shutdown waits for it."""


class Conflict(PaymentConflict):
    """A conflict that can show the receipt of what the payment bought."""

    def __init__(self, code: str, payment: ledger.Payment | None) -> None:
        super().__init__(code)
        self.payment = payment


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a payment header is for."""

    payload: codec.PaymentPayload
    version: versions.Version
    inputs: dict[str, str]
    status_token: str = ""

    @property
    def request_sha256(self) -> bytes:
        """What the payment is bound to."""
        return matching.request_sha256(self.version.resource_id, self.inputs)


def read_header(v2: str | None, v1: str | None) -> codec.PaymentPayload | None:
    """Decode the payment header; None without one. Some wallets send the same value under both names.

    Raises:
        TooLarge: above the limit, before anything else is done with it.
        PaymentMalformed: if it is no x402 payment, or if there are two.
    """
    header, other = v2 or v1, v1 or v2
    if header is None:
        return None
    limit = settings().payment_header_limit
    if len(header) > limit:
        raise TooLarge("header_too_large", limit)
    if header != other:
        raise PaymentMalformed("payment_malformed")
    return codec.decode(header)


async def quoted_version(door: Door, payload: codec.PaymentPayload, current: versions.Version) -> versions.Version:
    """The version that the buyer was quoted, or the present one without a quote.

    Raises:
        PaymentRequired: if the quote was made for another resource.
        Conflict: if the payment was used there already.
    """
    quote = quotes.quote_of(payload)
    if quote is None or quote.version_id == current.version_id:
        return current
    async with db.autocommit(door.pool) as conn:
        version = await versions.version(conn, quote.version_id)
        if version.resource_id == current.resource_id:
            return version
        used = await ledger.find(conn, payload)
    if used:
        raise Conflict("other_request", used)
    raise PaymentRequired("wrong_resource")


async def admit(door: Door, purchase: Purchase) -> tuple[UUID, bool]:
    """Bring a payment in, new or repeated.

    Returns:
        The id of the execution that it bought, and whether it bought it just now.

    Raises:
        PaymentRequired: refused with certainty; the buyer may sign another.
        Unavailable: nothing was claimed and nothing will be charged.
        Conflict: this payment was used for something else, or its bearer cannot prove to be its sender.
    """
    if execution_id := await _replay(door, purchase):
        return execution_id, False
    if purchase.version.archived:
        raise NotFound
    matched = await _match(door, purchase)
    await door.limit_payer(matched.payer)
    verdict = await _verify(door, matched)
    if isinstance(verdict, Refused):
        # It may have been refused because the winner of a race has just settled it.
        if execution_id := await _replay(door, purchase):
            return execution_id, False
        raise PaymentRequired(verdict.reason)
    request = ledger.ClaimRequest(matched, purchase.version, purchase.inputs, door.worker_id)
    if await asyncio.shield(door.spawn(_claim(door, request))):
        return request.execution_id, True
    # Somebody was first with the same authorization, so there is one to be found.
    if execution_id := await _replay(door, purchase):
        return execution_id, False
    return await admit(door, purchase)


async def _commit_claims(conn: db.Connection, requests: Sequence[ledger.ClaimRequest]) -> list[bool]:
    # Three trips: the authorizations, all that they need, the commit. Others wait for these creators' days meanwhile.
    async with conn.pipeline(), conn.transaction():
        return await ledger.claim(conn, requests)


_claims: db.BatchWriter[ledger.ClaimRequest, bool] = db.BatchWriter(_commit_claims, db.run_in_autocommit)


async def _claim(door: Door, request: ledger.ClaimRequest) -> bool:
    """Claim, and settle what was claimed, whatever becomes of the buyer meanwhile; False when somebody was first."""
    try:
        claimed = await _claims.add(door.pool, request)
    except db.UNREACHABLE:
        # It may be committed all the same, and its owner lives on. Nobody was asked to settle it, so it did fail.
        failing = door.spawn(
            db.retry_until_committed(
                door.pool, lambda conn: ledger.fail(conn, request.payment_id, "database_unreachable")
            )
        )
        failing.add_done_callback(log_unexpected_end)
        raise
    if claimed:
        _settle(door, request.payment_id, request.execution_id, request.matched)
    return claimed


async def _match(door: Door, purchase: Purchase) -> matching.MatchedPayment:
    """Is it ready, is the quote alive, does the payment fit?"""
    ready = await door.ready(purchase.version)
    matched = matching.match(purchase.payload, purchase.version, ready.payouts)
    matching.require_live_quote(purchase.payload)
    return matched


async def _verify(door: Door, matched: matching.MatchedPayment) -> Verdict:
    """Ask the facilitator within the time a buyer is answered in: nothing is claimed yet, so giving up is free."""
    with metrics.phase("verify"), suppress(TimeoutError):
        async with asyncio.timeout(settings().answer_seconds):
            return await door.clients.facilitators[matched.network.id].verify(matched.payload, matched.requirements)
    raise Unavailable("facilitator_slow")


async def _replay(door: Door, purchase: Purchase) -> UUID | None:
    """The execution that this authorization bought before, if it was presented by the same sender for the same."""
    async with db.autocommit(door.pool) as conn:
        taken = await ledger.is_identifier_taken(conn, purchase.version.resource_id, purchase.payload)
        payment = await ledger.find(conn, purchase.payload)
    if taken:
        raise Conflict("identifier_reused", payment)
    if payment is None:
        return None
    if payment.payload_sha256 != matching.payload_sha256(purchase.payload) or not _is_sender(payment, purchase):
        raise Conflict("not_yours_to_read", payment)
    if payment.request_sha256 != purchase.request_sha256:
        raise Conflict("other_request", payment)
    if payment.state == "failed":
        await _try_again(door, purchase, payment)
    return payment.execution_id


def _is_sender(payment: ledger.Payment, purchase: Purchase) -> bool:
    """Whether the bearer knows what is not on the chain: our quote, the identifier, or the status token (v1)."""
    return payment.quoted or status_tokens.is_token_of(payment.execution_id, purchase.status_token)


async def _try_again(door: Door, purchase: Purchase, payment: ledger.Payment) -> None:
    """A cleanly refused authorization came back with the identical payload: settle it again while it is valid."""
    matched = await _match(door, purchase)
    async with door.pool.connection() as conn:
        again = await ledger.reclaim(conn, payment, purchase.version, door.worker_id)
    if again:
        _settle(door, payment.id, payment.execution_id, matched)


def _settle(door: Door, payment_id: UUID, execution_id: UUID, matched: matching.MatchedPayment) -> None:
    async def settle() -> None:
        with metrics.phase("settle"), tracing.span("settle", execution_id, network=matched.network.id):
            await settlement.settle(door.pool, door.clients, payment_id, matched.payload, matched.requirements)

    door.spawn(settle()).add_done_callback(log_unexpected_end)
