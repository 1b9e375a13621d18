"""From a payment header to a claimed execution: match, look up, verify, claim, settle.

The order is the one that survives replays, races and lost replies (design, section 3): nothing is settled before it is
claimed and committed, and nothing that could be refused before is refused after.
"""

from dataclasses import dataclass
from uuid import UUID

from api.door import Door
from core import resource
from core.failures import PaymentConflict, PaymentRequired, TooLarge
from core.payment import ledger, offer, settlement
from core.payment.facilitator import Refused
from core.settings import settings


class Conflict(PaymentConflict):
    """A conflict that can show the receipt of what the payment bought."""

    def __init__(self, code: str, payment: ledger.Payment) -> None:
        super().__init__(code)
        self.payment = payment


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a payment header is for."""

    payload: offer.PaymentPayload
    version: resource.Version
    inputs: dict[str, str]

    @property
    def request_sha256(self) -> bytes:
        """What the payment is bound to."""
        return offer.request_sha256(self.version.resource_id, self.inputs)


def read_header(header: str) -> offer.PaymentPayload:
    """Decode a payment header.

    Raises:
        TooLarge: above the limit, before anything else is done with it.
        PaymentMalformed: if it is no x402 v2 payment.
    """
    limit = settings().payment_header_limit
    if len(header) > limit:
        raise TooLarge("header_too_large", limit)
    return offer.decode(header)


async def quoted_version(door: Door, payload: offer.PaymentPayload, current: resource.Version) -> resource.Version:
    """The version that the buyer was quoted, or the present one without a quote.

    Raises:
        PaymentRequired: if the quote was made for another resource.
    """
    quote = offer.quote_of(payload)
    if quote is None or quote.version_id == current.version_id:
        return current
    async with door.pool.connection() as conn:
        version = await resource.version(conn, quote.version_id)
    if version.resource_id != current.resource_id:
        raise PaymentRequired("wrong_resource")
    return version


async def admit(door: Door, purchase: Purchase) -> UUID:
    """Bring a payment in, new or repeated.

    Returns:
        The id of the execution that it bought.

    Raises:
        PaymentRequired: refused with certainty; the buyer may sign another.
        Unavailable: nothing was claimed and nothing will be charged.
        Conflict: this payment was used for something else, or its bearer cannot prove to be its sender.
    """
    if execution_id := await _replay(door, purchase):
        return execution_id
    terms = await _match(door, purchase)
    await door.slow_down(door.payer_rate, f"payer:{terms.payer}")
    verdict = await door.settlers.facilitators[terms.network.id].verify(purchase.payload, terms.requirements)
    if isinstance(verdict, Refused):
        # It may have been refused because the winner of a race has just settled it.
        if execution_id := await _replay(door, purchase):
            return execution_id
        raise PaymentRequired(verdict.reason)
    async with door.pool.connection() as conn:
        claimed = await ledger.claim(conn, terms, purchase.version, purchase.inputs, door.worker_id)
    if claimed is None:
        # Somebody was first with the same authorization, so there is one to be found.
        return await _replay(door, purchase) or await admit(door, purchase)
    _settle(door, claimed.payment_id, terms)
    return claimed.execution_id


async def _match(door: Door, purchase: Purchase) -> offer.Terms:
    """Is it ready, is the quote alive, does the payment fit?"""
    async with door.pool.connection() as conn:
        ready = await resource.readiness(conn, purchase.version)
    terms = offer.match(purchase.payload, purchase.version, ready.payouts)
    offer.require_live_quote(purchase.payload)
    return terms


async def _replay(door: Door, purchase: Purchase) -> UUID | None:
    """The execution that this authorization bought before, if it was presented by the same sender for the same."""
    async with door.pool.connection() as conn:
        payment = await ledger.find(conn, purchase.payload)
    if payment is None:
        return None
    if payment.payload_sha256 != offer.payload_sha256(purchase.payload) or not payment.quoted:
        raise Conflict("not_yours_to_read", payment)
    if payment.request_sha256 != purchase.request_sha256:
        raise Conflict("other_request", payment)
    if payment.state == "failed":
        await _try_again(door, purchase, payment)
    return payment.execution_id


async def _try_again(door: Door, purchase: Purchase, payment: ledger.Payment) -> None:
    """A cleanly refused authorization came back with the identical payload: settle it again while it is valid."""
    terms = await _match(door, purchase)
    async with door.pool.connection() as conn:
        again = await ledger.reenter(conn, payment, purchase.version, door.worker_id)
    if again:
        _settle(door, payment.id, terms)


def _settle(door: Door, payment_id: UUID, terms: offer.Terms) -> None:
    facilitator = door.settlers.facilitators[terms.network.id]
    door.settle_apart(settlement.settle(door.pool, facilitator, payment_id, terms.payload, terms.requirements))
