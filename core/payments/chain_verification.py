"""Verify on the chain what facilitators told, some blocks later, and pause a network on which they proved wrong.

A facilitator is believed at once, because buyers do not wait for blocks: docs/decisions/0020. On the practice network
the facilitator's book, read over the same JSON-RPC, takes the chain's place.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from core import db
from core.db.queries.chain_verification import Unverified, sql
from core.db.states import Verification
from core.evm import node
from core.failures import InvalidInput, Unavailable
from core.payments import chain
from core.payments.settlement import PaymentClients
from core.settings import Network, settings

_log = logging.getLogger(__name__)

_PAGE = 200
_MOST_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Verified:
    """The counts of one pass.

    Attributes:
        agree: payments that the chain shows as told.
        differ: payments that it does not show so.
        wait: payments whose block, or the node, is not old enough yet.
        paused: networks that were paused now.
        unread: networks whose chain could not be read.
    """

    agree: int
    differ: int
    wait: int
    paused: list[str]
    unread: list[str]


async def verify(pool: db.Pool, clients: PaymentClients) -> Verified:
    """Look at each paid payment of every configured network that was not verified yet.

    Takes the pool: no connection is held while a node is asked.
    """
    counts, paused, unread = Counter[str](), [], []
    for network in clients.networks.values():
        try:
            counts += await _verify_network(pool, clients, network)
        except Unavailable as unavailable:
            _log.warning("payments on %s could not be verified (%s)", network.id, unavailable.code)
            unread.append(network.id)
        async with pool.connection() as conn:
            if await sql.pause(conn, network=network.id, limit=settings().difference_limit):
                _log.error("nothing is sold on %s any more: its chain does not show what was paid", network.id)
                paused.append(network.id)
    differ = counts["transfer_missing"] + counts["transfer_differs"]
    return Verified(counts["agrees"], differ, counts["pending"], paused, unread)


async def resume(conn: db.Connection, network: str) -> None:
    """Sell on a paused network again. Only differences that are found from now on count.

    Raises:
        InvalidInput: it is not paused.
    """
    if await sql.resume(conn, network=network) is None:
        raise InvalidInput({"network": f"{network} is not paused"})


async def _verify_network(pool: db.Pool, clients: PaymentClients, network: Network) -> Counter[str]:
    http = clients.http
    head = await node.confirmed_block(http, network)
    counts = Counter[str]()
    rows = await _page(pool, network, datetime.fromtimestamp(0, UTC), UUID(int=0))
    while rows:
        for start in range(0, len(rows), _MOST_AT_ONCE):
            batch = rows[start : start + _MOST_AT_ONCE]
            verdicts = await asyncio.gather(*(_verdict(clients, network, head, row) for row in batch))
            counts.update(verdicts)
            await _record(pool, batch, verdicts)
        rows = await _page(pool, network, rows[-1].decided_at, rows[-1].id)
    return counts


async def _page(pool: db.Pool, network: Network, after_decided: datetime, after_id: UUID) -> list[Unverified]:
    async with pool.connection() as conn:
        rows = sql.unverified(
            conn,
            network=network.id,
            asset=network.asset.lower(),
            after_decided=after_decided,
            after_id=after_id,
            most=_PAGE,
        )
        return [row async for row in rows]


async def _record(pool: db.Pool, batch: Sequence[Unverified], verdicts: Sequence[Verification]) -> None:
    found = [(row.id, verdict) for row, verdict in zip(batch, verdicts, strict=True) if verdict != "pending"]
    for payment_id, verdict in found:
        if verdict != "agrees":
            _log.error("payment %s: the chain does not show what was told (%s)", payment_id, verdict)
    async with pool.connection() as conn:
        await sql.record(conn, ids=[row_id for row_id, _ in found], verdicts=[verdict for _, verdict in found])


async def _verdict(clients: PaymentClients, network: Network, head: node.Block, row: Unverified) -> Verification:
    """Compare one payment with the chain up to `head`; `pending` while that is too early."""
    block = await chain.holds(
        clients.http,
        network,
        row.transaction,
        payer=row.payer,
        nonce=row.nonce,
        pay_to=row.pay_to,
        amount_atomic=row.amount_atomic,
    )
    if block is not None:
        return "agrees" if block <= int(head.number, 16) else "pending"
    # What was told is not there. Only a block that is clearly later decides: a node may lag behind the facilitator's.
    if head.time <= row.decided_at + timedelta(seconds=settings().chain_margin_seconds):
        return "pending"
    try:
        state = await chain.landed(
            clients.http,
            network,
            payer=row.payer,
            nonce=row.nonce,
            pay_to=row.pay_to,
            amount_atomic=row.amount_atomic,
            since=row.created_at,
            latest=head,
        )
    except Unavailable as unavailable:
        if unavailable.code != "chain_incomplete":
            raise
        return "pending"
    return "transfer_differs" if isinstance(state, chain.Landed) else "transfer_missing"
