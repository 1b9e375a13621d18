"""The transfers that pay refunds back: recorded before they are signed, sent by the facilitator, decided by the chain.

A transfer is an EIP-3009 authorization from the wallet of whoever pays to the wallet that had paid. Its nonce is made
from the refund, so the chain takes it once from one wallet. Another wallet has nonces of its own, so a refund is
bound to one transfer until the chain shows, at a block that is final, that it can never move the money.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from core import db
from core.db.queries.refund_transfer import Reserved as Reserved
from core.db.queries.refund_transfer import Transfer as Transfer
from core.db.queries.refund_transfer import sql
from core.evm import node
from core.failures import NotFound, Unavailable
from core.payments import chain, offers, refund_caps
from core.payments.refund_authorizations import authorization_of, nonce_of
from core.payments.settlement import PaymentClients
from core.payments.verdicts import Settled
from core.payments.x402_sdk import PaymentPayload
from core.settings import Network, settings

_log = logging.getLogger(__name__)

Obstacle = Literal["not_due", "other_wallet", "day_is_full", "switched_off"]
"""Why no transfer was recorded: the refund is not due any more, or bound to another wallet's; a cap is reached; or the
stored wallet was replaced or switched off."""

# An authorization that ends sooner may end before a facilitator has broadcast it.
_LEAST_SECONDS = 60
# How often the chain is asked for a transfer that the facilitator says was made: nodes lag behind.
_LOOKS = 5
_LOOK_SECONDS = 1.0
_MOST = 50


async def reserve(
    conn: db.Connection, execution_id: UUID, payer: str, *, capped_for: UUID | None = None
) -> Reserved | Obstacle:
    """Record, in the caller's transaction, that a wallet pays a refund. Sign nothing before it is committed.

    Repeating it gives the same authorization while that is valid for a minute or more, and then one with a later end;
    its nonce is always the same.

    Args:
        conn: one transaction.
        execution_id: what is refunded.
        payer: the wallet that pays, in lower case.
        capped_for: the account whose stored wallet it is: then the transfer counts against its cap of this UTC day.

    Raises:
        NotFound: there is no such refund.
    """
    cap = None
    if capped_for is not None:
        cap = await refund_caps.lock(conn, capped_for, payer)
        if cap is None:
            return "switched_off"
    refund = await sql.lock(conn, execution_id=execution_id)
    if refund is None:
        raise NotFound
    if refund.state != "due":
        return "not_due"
    if refund.transfer_id is not None and await sql.bound_to(conn, id=refund.transfer_id) != payer:
        return "other_wallet"
    if cap is not None and not await refund_caps.fits(conn, refund, payer, cap):
        return "day_is_full"
    reserved = await sql.reserve(
        conn,
        execution_id=execution_id,
        payer=payer,
        nonce=nonce_of(execution_id),
        least_seconds=_LEAST_SECONDS,
        seconds=settings().payment_window_seconds,
        is_capped=cap is not None,
    )
    if reserved is None:
        return "not_due"
    await sql.bind(conn, execution_id=execution_id, transfer_id=reserved.id)
    return reserved


async def find_reserved(conn: db.Connection, execution_id: UUID, payer: str) -> Reserved:
    """Find the authorization of a refund and a wallet that was recorded, and that is not decided.

    Raises:
        NotFound: there is none.
    """
    found = await sql.find_reserved(conn, execution_id=execution_id, payer=payer)
    if found is None:
        raise NotFound
    return found


async def adopt(pool: db.Pool, clients: PaymentClients, execution_id: UUID, network_id: str, payer: str) -> str | None:
    """Record that a wallet has paid a refund, if the chain shows its transfer and the refund is bound to none.

    Returns:
        The transaction; None if the chain shows none.

    Raises:
        Unavailable: the chain cannot be asked.
    """
    network = clients.networks.get(network_id)
    async with pool.connection() as conn:
        wanted = await sql.wanted(conn, execution_id=execution_id)
    if network is None or wanted is None or network.asset.lower() != wanted.asset:
        return None
    found = await chain.landed(
        clients.http,
        network,
        payer=payer,
        nonce=nonce_of(execution_id),
        pay_to=wanted.pay_to,
        amount_atomic=wanted.amount_atomic,
        since=wanted.paid_at,
    )
    if not isinstance(found, chain.Landed):
        return None
    async with pool.connection() as conn:
        reserved = await reserve(conn, execution_id, payer)
        if isinstance(reserved, str):
            return None
        await sql.land(conn, id=reserved.id, transaction=found.transaction)
    return found.transaction


async def send(pool: db.Pool, clients: PaymentClients, reserved: Reserved, signature: bytes) -> Transfer:
    """Send a signed transfer once, unless the chain shows it already, and look what became of it.

    Takes the pool: no connection is held while others are asked. What a facilitator says decides nothing: a transfer is
    paid when the chain shows it, and void when the chain shows that it never can be.

    Args:
        pool: our database.
        clients: the facilitators and nodes.
        reserved: as it was recorded and committed.
        signature: by the paying wallet.

    Returns:
        The transfer: paid, void, or still sending, with the reason that was last heard of.
    """
    transfer, is_known = await decide(pool, clients, reserved.id)
    if transfer.state != "sending" or not is_known:
        return transfer
    network = clients.networks[reserved.network]
    requirements = offers.requirements_of(network, reserved.pay_to, reserved.amount_atomic)
    payload = PaymentPayload(
        payload={"signature": f"0x{signature.hex()}", "authorization": authorization_of(reserved)},
        accepted=requirements,
    )
    outcome = await clients.facilitators[network.id].settle(payload, requirements)
    is_settled = isinstance(outcome, Settled)
    await db.retry_until_committed(
        pool,
        lambda conn: sql.note(
            conn,
            id=reserved.id,
            reason="settled" if isinstance(outcome, Settled) else outcome.reason,
            transaction=outcome.transaction if isinstance(outcome, Settled) else None,
        ),
    )
    for look in range(_LOOKS if is_settled else 1):
        if look:
            await asyncio.sleep(_LOOK_SECONDS)
        transfer, _ = await decide(pool, clients, reserved.id)
        if transfer.state != "sending":
            break
    return transfer


@dataclass(frozen=True, slots=True)
class _Never:
    """A transfer that can never move the money any more."""

    reason: Literal["used_elsewhere", "expired_unused"]


async def decide(pool: db.Pool, clients: PaymentClients, transfer_id: UUID) -> tuple[Transfer, bool]:
    """Decide a transfer from the chain, if that shows enough.

    Returns:
        The transfer, and whether the chain could be asked.
    """
    async with pool.connection() as conn:
        transfer = await sql.read(conn, id=transfer_id)
    if transfer.state != "sending":
        return transfer, True
    try:
        found = await _look(clients, transfer)
    except Unavailable as unavailable:
        _log.warning("refund %s: the chain could not be asked (%s)", transfer.execution_id, unavailable.code)
        return transfer._replace(reason=unavailable.code), False
    if found is None:
        return transfer, True
    await db.retry_until_committed(pool, lambda conn: _record(conn, transfer, found))
    async with pool.connection() as conn:
        return await sql.read(conn, id=transfer_id), True


async def _record(conn: db.Connection, transfer: Transfer, found: chain.Landed | _Never) -> None:
    # The refund first and then its transfers, as everybody locks them.
    await sql.lock(conn, execution_id=transfer.execution_id)
    if isinstance(found, chain.Landed):
        await sql.land(conn, id=transfer.id, transaction=found.transaction)
    else:
        await sql.void(conn, id=transfer.id, valid_before=transfer.valid_before, reason=found.reason)


async def decide_all(pool: db.Pool, clients: PaymentClients, *, account_id: UUID | None = None, pause: float) -> int:
    """Decide transfers of which nothing is known yet.

    Args:
        pool: our database.
        clients: the nodes.
        account_id: only of this creator.
        pause: seconds since the chain was last asked about one.

    Returns:
        How many were decided.
    """
    async with pool.connection() as conn:
        taken = [row.id async for row in sql.take_sending(conn, account_id=account_id, pause_seconds=pause, most=_MOST)]
    decided = [(await decide(pool, clients, transfer_id))[0].state != "sending" for transfer_id in taken]
    return sum(decided)


async def _look(clients: PaymentClients, transfer: Transfer) -> chain.Landed | _Never | None:
    """Ask the chain about a transfer; None while it may still move the money.

    Raises:
        Unavailable: the chain cannot be asked, or its network or asset is not configured any more.
    """
    network = clients.networks.get(transfer.network)
    if network is None or network.asset.lower() != transfer.asset:
        raise Unavailable("not_configured")
    found = await _read(clients, network, transfer)
    if isinstance(found, chain.Landed):
        return found
    ends = transfer.valid_before + timedelta(seconds=settings().chain_margin_seconds)
    if isinstance(found, chain.NotUsed) and found.chain_time <= ends:
        return None
    # Only what is so in a final block frees the refund for another wallet.
    head = await node.confirmed_block(clients.http, network)
    final = await _read(clients, network, transfer, head)
    match final:
        case chain.Landed():
            return final
        case chain.UsedElsewhere():
            return _Never("used_elsewhere")
        case chain.NotUsed(chain_time) if chain_time > ends and isinstance(found, chain.NotUsed):
            return _Never("expired_unused")
    return None


async def _read(
    clients: PaymentClients, network: Network, transfer: Transfer, latest: node.Block | None = None
) -> chain.Landed | chain.NotUsed | chain.UsedElsewhere:
    return await chain.landed(
        clients.http,
        network,
        payer=transfer.payer,
        nonce=transfer.nonce,
        pay_to=transfer.pay_to,
        amount_atomic=transfer.amount_atomic,
        # A database that was restored to an earlier moment may have lost what it knew of the transfer.
        since=transfer.paid_at,
        latest=latest,
    )
