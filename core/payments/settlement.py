"""Settle payments, and find out from the chain whether money moved.

These functions take the pool: a request to another server stands between their commits, and no connection is held
during it.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from core import db
from core.failures import Unavailable
from core.net import json_client
from core.payments import chain, ledger, offers
from core.payments.bazaar import Told
from core.payments.facilitator import Facilitator
from core.payments.verdicts import Refused, Settled, Unknown
from core.payments.x402_sdk import PaymentPayload, PaymentRequirements
from core.settings import Network, settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PaymentClients:
    """The clients of all networks: their facilitators, and an HTTP client for their chain nodes."""

    http: json_client.Client
    networks: Mapping[str, Network]
    facilitators: Mapping[str, Facilitator]


@asynccontextmanager
async def payment_clients() -> AsyncIterator[PaymentClients]:
    """Open one HTTP client, and one facilitator per configured network, for the duration of the block."""
    async with json_client.client() as http:
        networks = {network.id: network for network in settings().networks}
        yield PaymentClients(http, networks, {name: Facilitator(network, http) for name, network in networks.items()})


async def _commit_paid(conn: db.Connection, paid: Sequence[ledger.Paid]) -> list[bool]:
    async with conn.pipeline(), conn.transaction():
        return await ledger.pay(conn, paid)


_paid: db.BatchWriter[ledger.Paid, bool] = db.BatchWriter(_commit_paid, db.retry_until_committed)


async def settle(
    pool: db.Pool,
    clients: PaymentClients,
    payment_id: UUID,
    payload: PaymentPayload,
    requirements: PaymentRequirements,
    told: Told | None = None,
) -> None:
    """Ask the facilitator once, and record the outcome: paid, failed, or unknown.

    Args:
        pool: our database.
        clients: the facilitators.
        payment_id: the claimed payment.
        payload, requirements: what was claimed.
        told: what the facilitator may tell of the product, if it keeps a list.
    """
    outcome = await clients.facilitators[requirements.network].settle(payload, requirements, told=told)
    match outcome:
        case Settled(transaction):
            if not await _paid.add(pool, ledger.Paid(payment_id, transaction, "settled")):
                await _mark_unknown(pool, payment_id, "transaction_shared")
        case Refused(reason):
            await _refuse(pool, clients, payment_id, reason)
        case Unknown(reason):
            await _mark_unknown(pool, payment_id, reason)


async def _mark_unknown(pool: db.Pool, payment_id: UUID, reason: str) -> None:
    await db.retry_until_committed(pool, lambda conn: ledger.mark_unknown(conn, payment_id, reason))


async def _refuse(pool: db.Pool, clients: PaymentClients, payment_id: UUID, reason: str) -> None:
    """Check a refusal on the chain before recording it.

    Anyone who has seen the authorization may have submitted it first. Then the wallet is empty or the time is over,
    and a facilitator that checks no further refuses a payment that landed.
    """
    async with pool.connection() as conn:
        payment = await ledger.read(conn, payment_id)
    chain_state = await _read_chain(clients, payment)
    match chain_state:
        case chain.Landed(transaction):
            await _paid.add(pool, ledger.Paid(payment_id, transaction, "found_on_chain"))
        case None:
            await _mark_unknown(pool, payment_id, reason)
        case chain.NotUsed() | chain.UsedElsewhere():
            proved = isinstance(chain_state, chain.UsedElsewhere)
            await db.retry_until_committed(pool, lambda conn: ledger.fail(conn, payment_id, reason, proved=proved))


async def decide(pool: db.Pool, clients: PaymentClients, payment_id: UUID) -> bool:
    """Decide an unknown payment from the chain, never by asking the buyer.

    Used for our transfer: paid. Used otherwise (cancelled, or spent elsewhere): failed. Unused: settled again with
    the identical payload while it is valid, INSTANT_SETTLE_LIMIT times in all, which is safe because of the nonce;
    failed once the chain's own clock shows that it can no longer land.

    Returns:
        Whether the payment is decided now.
    """
    async with pool.connection() as conn:
        payment = await ledger.read(conn, payment_id)
    chain_state = await _read_chain(clients, payment)
    match chain_state:
        case chain.Landed(transaction):
            await _paid.add(pool, ledger.Paid(payment_id, transaction, "found_on_chain"))
            return True
        case chain.UsedElsewhere():
            await db.retry_until_committed(
                pool, lambda conn: ledger.fail(conn, payment_id, "used_elsewhere", proved=True)
            )
            return True
        case chain.NotUsed(chain_time) if _can_no_longer_land(payment, chain_time):
            await db.retry_until_committed(
                pool, lambda conn: ledger.fail(conn, payment_id, "expired_unused", proved=True)
            )
            return True
        case chain.NotUsed(chain_time) if chain_time < payment.valid_before:
            return await _settle_again(pool, clients, payment)
    return False


async def watch(pool: db.Pool, clients: PaymentClients, payment_id: UUID) -> None:
    """Check whether a refused payment landed after all; once it no longer can, stop watching it."""
    async with pool.connection() as conn:
        payment = await ledger.read(conn, payment_id)
    match await _read_chain(clients, payment):
        case chain.Landed(transaction):
            try:
                await db.retry_until_committed(
                    pool, lambda conn: ledger.record_late_settlement(conn, payment_id, transaction, has_room=True)
                )
            except Unavailable:
                await db.retry_until_committed(
                    pool, lambda conn: ledger.record_late_settlement(conn, payment_id, transaction, has_room=False)
                )
        case chain.UsedElsewhere():
            await db.retry_until_committed(pool, lambda conn: ledger.mark_final(conn, payment_id))
        case chain.NotUsed(chain_time) if _can_no_longer_land(payment, chain_time):
            await db.retry_until_committed(pool, lambda conn: ledger.mark_final(conn, payment_id))


async def _read_chain(
    clients: PaymentClients, payment: ledger.Recorded
) -> chain.Landed | chain.NotUsed | chain.UsedElsewhere | None:
    """Ask the chain about a payment; None if it cannot be asked, or its network is not configured any more."""
    network = clients.networks.get(payment.network)
    if network is None:
        return None
    try:
        return await chain.landed(
            clients.http,
            network,
            payer=payment.payer,
            nonce=payment.nonce,
            pay_to=payment.pay_to,
            amount_atomic=payment.amount_atomic,
            since=payment.created_at,
        )
    except Unavailable as unavailable:
        _log.warning("payment %s: the chain could not be asked about it (%s)", payment.id, unavailable.code)
        return None


def _can_no_longer_land(payment: ledger.Recorded, chain_time: datetime) -> bool:
    """Whether an authorization can no longer land, by the chain's own clock plus a margin for pending transactions."""
    return chain_time > payment.valid_before + timedelta(seconds=settings().chain_margin_seconds)


async def _settle_again(pool: db.Pool, clients: PaymentClients, payment: ledger.Recorded) -> bool:
    """Settle once more with the identical payload. A refusal proves nothing here: an earlier attempt may still land."""
    async with pool.connection() as conn:
        if not await ledger.begin_settling_again(conn, payment.id):
            return False
    network = clients.networks[payment.network]
    payload = ledger.open_payload(payment)
    if payload is None:  # decided since it was listed
        return False
    requirements = offers.requirements_of(network, payment.pay_to, payment.amount_atomic)
    outcome = await clients.facilitators[network.id].settle(payload.reveal(), requirements)
    if not isinstance(outcome, Settled):
        return False
    return await _paid.add(pool, ledger.Paid(payment.id, outcome.transaction, "settled_again"))
