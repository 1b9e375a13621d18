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

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from core import db
from core.db.queries.refund_transfer import Reserved as Reserved
from core.db.queries.refund_transfer import Transfer as Transfer
from core.db.queries.refund_transfer import sql
from core.evm import node, signatures
from core.failures import NotFound, Unavailable
from core.payments import chain, offers
from core.payments.settlement import PaymentClients
from core.payments.verdicts import Settled
from core.payments.x402_sdk import ExactEIP3009Authorization, PaymentPayload, hash_eip3009_authorization
from core.settings import Network, settings

_log = logging.getLogger(__name__)

Obstacle = Literal["not_due", "other_wallet", "day_is_full"]
"""Why no transfer was recorded: the refund is not due any more, is bound to another wallet's, or a cap is reached."""

# An authorization that ends sooner may end before a facilitator has broadcast it.
_LEAST_SECONDS = 60
# How often the chain is asked for a transfer that the facilitator says was made: nodes lag behind.
_LOOKS = 5
_LOOK_SECONDS = 1.0
_MOST = 50


def nonce_of(execution_id: UUID) -> bytes:
    """Return the nonce of the transfer that refunds an execution: 32 bytes, always the same."""
    return keccak(b"x402-instant/refund\x00" + execution_id.bytes)


async def reserve(conn: db.Connection, execution_id: UUID, payer: str) -> Reserved | Obstacle:
    """Record, in the caller's transaction, that a wallet pays a refund. Sign nothing before it is committed.

    Repeating it gives the same authorization while that is valid for a minute or more, and then one with a later end;
    its nonce is always the same.

    Args:
        conn: one transaction.
        execution_id: what is refunded.
        payer: the wallet that pays, in lower case.

    Raises:
        NotFound: there is no such refund.
    """
    refund = await sql.lock(conn, execution_id=execution_id)
    if refund is None:
        raise NotFound
    if refund.state != "due":
        return "not_due"
    if refund.transfer_id is not None and await sql.bound_to(conn, id=refund.transfer_id) != payer:
        return "other_wallet"
    reserved = await sql.reserve(
        conn,
        execution_id=execution_id,
        payer=payer,
        nonce=nonce_of(execution_id),
        least_seconds=_LEAST_SECONDS,
        seconds=settings().payment_window_seconds,
        capped_on=None,
    )
    if reserved is None:
        return "not_due"
    await sql.bind(conn, execution_id=execution_id, transfer_id=reserved.id)
    return reserved


def digest_of(network: Network, reserved: Reserved) -> bytes:
    """Return the 32 bytes that the paying wallet signs (EIP-712, TransferWithAuthorization of EIP-3009)."""
    signed = authorization_of(reserved)
    return hash_eip3009_authorization(
        ExactEIP3009Authorization(
            from_address=signed["from"],
            to=signed["to"],
            value=signed["value"],
            valid_after=signed["validAfter"],
            valid_before=signed["validBefore"],
            nonce=signed["nonce"],
        ),
        network.chain_id,
        network.asset,
        network.asset_name,
        network.asset_version,
    )


def authorization_of(reserved: Reserved) -> dict[str, str]:
    """Return the members of the authorization as x402 spells them."""
    return {
        "from": to_checksum_address(reserved.payer),
        "to": to_checksum_address(reserved.pay_to),
        "value": str(reserved.amount_atomic),
        "validAfter": "0",
        "validBefore": str(int(reserved.valid_before.timestamp())),
        "nonce": f"0x{reserved.nonce.hex()}",
    }


def is_signed(network: Network, reserved: Reserved, signature: bytes) -> bool:
    """Whether the paying wallet signed this authorization with its own key."""
    return (
        len(signature) == signatures.LENGTH
        and signatures.recover(digest_of(network, reserved), signature) == reserved.payer
    )


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
    match found:
        case chain.Landed(transaction):
            await db.retry_until_committed(pool, lambda conn: sql.land(conn, id=transfer_id, transaction=transaction))
        case _Never(reason):
            await db.retry_until_committed(
                pool,
                lambda conn: sql.void(conn, id=transfer_id, valid_before=transfer.valid_before, reason=reason),
            )
        case None:
            return transfer, True
    async with pool.connection() as conn:
        return await sql.read(conn, id=transfer_id), True


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
