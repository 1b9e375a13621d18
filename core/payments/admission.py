"""Turn a payment header into a claimed execution: look up, match, verify, claim, settle.

The order survives replays, races and lost replies (docs/design.md): a payment is settled only after its claim is
committed, and everything that can refuse a payment is checked before it. Every way to buy goes through `admit`.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from core import db
from core.executions import refundable, status_tokens
from core.failures import (
    NotFound,
    PaymentMalformed,
    PaymentRequired,
    TooLarge,
    TooManyFailures,
    Unavailable,
    log_unexpected_end,
)
from core.observability import metrics, tracing
from core.payments import aliases, codec, landed_claims, ledger, matching, quotes, settlement
from core.payments.purchase import Conflict, Door, Purchase
from core.payments.verdicts import Refused, Verdict
from core.resources import versions
from core.settings import settings

_LATE_CODES = frozenset({"expired", "quote_expired"})


def read_header(values: Sequence[str]) -> codec.PaymentPayload:
    """Decode the payment header. Some wallets send the same value under both names.

    Args:
        values: of all headers that may hold a payment; at least one is not empty.

    Raises:
        TooLarge: one is longer than the limit. This is checked first.
        PaymentMalformed: it is not an x402 payment, or two of them differ.
    """
    headers = {value for value in values if value}
    limit = settings().payment_header_limit
    if any(len(header) > limit for header in headers):
        raise TooLarge("header_too_large", limit)
    if len(headers) != 1:
        raise PaymentMalformed()
    return codec.decode(headers.pop())


async def quoted_version(door: Door, payload: codec.PaymentPayload, current: versions.Version) -> versions.Version:
    """Return the version that the buyer was quoted, or the current one without a quote.

    Raises:
        PaymentRequired: the quote belongs to another resource.
        Conflict: the payment already bought something at that resource.
    """
    quote = quotes.quote_of(payload)
    if quote is None or quote.version_id == current.version_id:
        return current
    async with db.autocommit(door.pool) as conn:
        version = await versions.version(conn, quote.version_id)
        # Nobody was quoted what was never on offer.
        if version.resource_id == current.resource_id and version.offered_at is not None:
            return version
        used = await ledger.find(conn, payload)
    if used:
        raise Conflict("other_request", used)
    raise PaymentRequired("wrong_resource")


async def admit(door: Door, purchase: Purchase) -> tuple[UUID, bool]:
    """Admit a payment, new or repeated.

    Returns:
        The id of the execution that it bought, and whether this call claimed it.

    Raises:
        PaymentRequired: the payment was certainly refused; the buyer may sign another.
        Unavailable: nothing was claimed and nothing will be charged.
        TooManyUndecided: the same, because the wallet has too many undecided payments.
        Conflict: the payment was used for something else, or its bearer did not prove to be the sender.
        TooManyFailures: too many calls of this product that the wallet paid for failed at its creator's cost.
        TooManyRequests: the wallet pays too often, or too many payments of its client were refused.
    """
    if execution_id := await _replay(door, purchase):
        return execution_id, False
    if purchase.version.archived:
        raise NotFound
    try:
        matched = await _match(door, purchase)
    except PaymentRequired as refusal:
        if refusal.code not in _LATE_CODES or not (execution_id := await _late(door, purchase)):
            raise
        return execution_id, True
    # A wallet gets only what is proved to be its own: its name may be anybody's word.
    if matched.is_proved and (execution_id := await _retry(door, purchase, matched, is_counted=False)):
        return execution_id, False
    presenter = _presenter(purchase, matched)
    await door.limit_refused(presenter)
    verdict = await _verify(door, purchase, matched)
    if isinstance(verdict, Refused):
        # The refusal may come from a concurrent request that has just settled the same authorization.
        if execution_id := await _replay(door, purchase):
            return execution_id, False
        if execution_id := await _landed(door, purchase, matched):
            return execution_id, True
        await door.count_refused(presenter)
        raise PaymentRequired(verdict.reason)
    # Only now: a signature proves who signed, and anybody can present one that was used before.
    await door.limit_payer(matched.payer)
    if not matched.is_proved and (execution_id := await _retry(door, purchase, matched, is_counted=True)):
        return execution_id, False
    await _limit_failures(door, matched.payer, purchase.version)
    request = ledger.ClaimRequest(matched, purchase.version, purchase.inputs, door.worker_id, purchase.is_streamed)
    if await asyncio.shield(door.spawn(_claim(door, request))):
        return request.execution_id, True
    # A concurrent request claimed the same authorization or identifier, and is found now; or the wallet has no room.
    if execution_id := await _replay(door, purchase) or await _retry(door, purchase, matched, is_counted=True):
        return execution_id, False
    async with db.autocommit(door.pool) as conn:
        await ledger.require_room(conn, matched.payer)
    return await admit(door, purchase)


async def _landed(door: Door, purchase: Purchase, matched: matching.MatchedPayment) -> UUID | None:
    """Return the execution of a refused payment that the chain shows as ours, and that no row knew until now."""
    claimed = await asyncio.shield(door.spawn(landed_claims.claim_landed(door, purchase, matched)))
    return claimed or await _replay(door, purchase)


async def _late(door: Door, purchase: Purchase) -> UUID | None:
    """Do the same for a payment whose time is over: its authorization may have been used in time."""
    ready = await door.ready(purchase.version)
    matched = matching.match(purchase.payload, purchase.version, ready.payouts, may_be_late=True)
    await door.limit_refused(presenter := _presenter(purchase, matched))
    if (execution_id := await _landed(door, purchase, matched)) is None:
        await door.count_refused(presenter)
    return execution_id


def _presenter(purchase: Purchase, matched: matching.MatchedPayment) -> str:
    """Name who answers for a refusal: the client; for a proved payment, the client together with the wallet.

    So neither a stranger who presents somebody's used authorization counts against that wallet elsewhere, nor a
    neighbour's junk against a wallet that pays from the same address.
    """
    return f"{purchase.client} {matched.payer}" if matched.is_proved else purchase.client


async def _limit_failures(door: Door, payer: str, version: versions.Version) -> None:
    """Sell nothing to a wallet that is proved, and has had too many refundable failures of this product.

    Raises:
        TooManyFailures: nothing is charged.
    """
    async with db.autocommit(door.pool) as conn:
        until = await refundable.refused_until(conn, payer, version.resource_id)
    if until is not None:
        metrics.limited("failures")
        raise TooManyFailures(until.timestamp())


async def _commit_claims(conn: db.Connection, requests: Sequence[ledger.ClaimRequest]) -> list[bool]:
    # Three round trips: insert the payments, their executions and reservations, commit. Meanwhile the creators'
    # spending days are locked.
    async with conn.pipeline(), conn.transaction():
        return await ledger.claim(conn, requests)


_claims: db.BatchWriter[ledger.ClaimRequest, bool] = db.BatchWriter(_commit_claims, db.run_in_autocommit)


async def _claim(door: Door, request: ledger.ClaimRequest) -> bool:
    """Claim, and settle the claim whatever the buyer's connection does; False if this request claimed nothing."""
    try:
        claimed = await _claims.add(door.pool, request)
    except db.UNREACHABLE:
        # The claim may be committed all the same, under an owner that is alive. It was never settled, so it failed.
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
    """Check readiness, match the payment with the offer, and check that its quote is still valid."""
    ready = purchase.ready or await door.ready(purchase.version)
    matched = matching.match(purchase.payload, purchase.version, ready.payouts)
    matching.require_live_quote(purchase.payload)
    return matched


async def _verify(door: Door, purchase: Purchase, matched: matching.MatchedPayment) -> Verdict:
    """Ask the facilitator, within the time of an immediate answer. Nothing is claimed yet, so giving up is free.

    Raises:
        Unavailable: it gave no verdict. That counts against whoever presents a payment that nobody has proved.
    """
    facilitator = door.clients.facilitators[matched.network.id]
    try:
        with metrics.phase("verify"), suppress(TimeoutError):
            async with asyncio.timeout(settings().answer_seconds):
                return await facilitator.verify(
                    matched.payload, matched.requirements, is_proved=matched.is_proved, told=matched.told
                )
        raise Unavailable("facilitator_slow")
    except Unavailable:
        if not matched.is_proved:
            await door.count_refused(purchase.client)
        raise


async def _replay(door: Door, purchase: Purchase) -> UUID | None:
    """Return the execution that this authorization bought, or was answered from, if sender and request are the same."""
    async with db.autocommit(door.pool) as conn:
        payment = await ledger.find(conn, purchase.payload)
        if payment is None:
            return None
        named = await ledger.find_named(conn, purchase.version.resource_id, purchase.payload)
    if named and named.id != payment.id:
        raise Conflict("identifier_reused", payment)
    if payment.payload_sha256 != matching.payload_sha256(purchase.payload) or not _is_sender(payment, purchase):
        raise Conflict("not_yours_to_read", payment)
    if payment.request_sha256 != purchase.request_sha256:
        raise Conflict("other_request", payment)
    if payment.state == "failed":
        await _try_again(door, purchase, payment)
    return payment.execution_id


async def _retry(door: Door, purchase: Purchase, matched: matching.MatchedPayment, *, is_counted: bool) -> UUID | None:
    """Return the execution that a fresh authorization asks for again, as stock clients do after a lost reply.

    The authorization is recorded as an alias of what paid for that execution, and is never settled, so the same request
    is not paid twice (docs/decisions/0021). It must be proved to be the wallet's.

    Args:
        is_counted: whether the wallet's rate has counted it. It must, because an alias is kept as long as the answer.

    Raises:
        TooManyRequests: the wallet pays too often.
        Conflict: its identifier names another request of the same wallet, whose receipt is shown.
    """
    async with db.autocommit(door.pool) as conn:
        first = await aliases.find_repeated(
            conn,
            purchase.version.resource_id,
            purchase.request_sha256,
            matched,
            is_repeated=purchase.is_repeated,
        )
    if first is None:
        return None
    if first.request_sha256 != purchase.request_sha256:
        raise Conflict("identifier_reused", first)
    if not is_counted:
        await door.limit_payer(matched.payer)
    async with door.pool.connection() as conn:
        is_recorded = await aliases.record(conn, first.id, matched)
    # Otherwise another request with the same authorization was first, and it may have bought.
    return first.execution_id if is_recorded else await _replay(door, purchase)


def _is_sender(payment: ledger.Payment, purchase: Purchase) -> bool:
    """Whether the bearer knows what is not on the chain: our quote, the identifier, or the status token (v1)."""
    return payment.quoted or status_tokens.is_token_of(payment.execution_id, purchase.status_token)


async def _try_again(door: Door, purchase: Purchase, payment: ledger.Payment) -> None:
    """Settle a refused payment again, because the identical payload came back while it is still valid.

    The payload of an alias is not the one that was claimed, so it takes nothing back and is not settled.
    """
    matched = await _match(door, purchase)
    async with door.pool.connection() as conn:
        again = await ledger.reclaim(conn, payment, purchase.version, door.worker_id)
    if again:
        _settle(door, payment.id, payment.execution_id, matched)


def _settle(door: Door, payment_id: UUID, execution_id: UUID, matched: matching.MatchedPayment) -> None:
    async def settle() -> None:
        with metrics.phase("settle"), tracing.span("settle", execution_id, network=matched.network.id):
            await settlement.settle(
                door.pool, door.clients, payment_id, matched.payload, matched.requirements, matched.told
            )

    door.spawn(settle()).add_done_callback(log_unexpected_end)
