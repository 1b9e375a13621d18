"""Find on the chain what was sold between a backup and its restore.

A restored database knows no payment of that time, but their transfers stand on the chain. Each that an authorization
made to an address of ours, and that no payment here knows, is kept as found: it is owed until its buyer presents the
same payment and is recorded, or until the operator pays it back. Which product it bought, the chain does not tell.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core import db
from core.db.queries.reconciliation import sql as reconciliation
from core.db.queries.restore import Found as Found
from core.db.queries.restore import sql
from core.failures import Unavailable
from core.payments import chain
from core.payments.settlement import PaymentClients
from core.settings import Network, settings

log = logging.getLogger(__name__)

_SHOWN = 10_000


@dataclass(frozen=True, slots=True)
class Looked:
    """The result of one look.

    Attributes:
        found: how many transfers were new.
        unread: networks whose chain could not be read whole.
    """

    found: int
    unread: list[str]


async def mark(conn: db.Connection, backup_at: datetime) -> None:
    """Mark that the database was taken back to that moment (UTC). What processes of before held is free at once.

    Executions that ran at that moment are run again by the next launcher, and undecided payments are decided from the
    chain, as after a crash.
    """
    await sql.forget_workers(conn)
    await sql.note(conn, backup_at=backup_at)


async def find(pool: db.Pool, clients: PaymentClients) -> Looked:
    """Read the chain of each network from the backup on, unless that was done after all from before had landed.

    Takes the pool: no connection is held while a node is asked. It may be repeated, and two at once do no harm.
    """
    found, unread = 0, []
    for network in clients.networks.values():
        try:
            found += await _find(pool, clients, network)
        except Unavailable as unavailable:
            log.warning("what was sold on %s before the restore was not read whole (%s)", network.id, unavailable.code)
            unread.append(network.id)
    return Looked(found, unread)


async def listing(conn: db.Connection) -> list[Found]:
    """List what was found, the newest restore first. `payment_id` is set when it was claimed since."""
    return [row async for row in sql.found(conn, most=_SHOWN)]


async def _find(pool: db.Pool, clients: PaymentClients, network: Network) -> int:
    # An authorization that was signed before the restore may land until its window is over.
    seconds = settings().payment_window_seconds + settings().chain_margin_seconds
    async with pool.connection() as conn:
        unread = await sql.unread(conn, network=network.id, seconds=seconds)
        rows = [row async for row in reconciliation.addresses(conn, network=network.id)]
    if unread.restore_id is None or unread.since is None:
        return 0
    found = 0
    addresses = sorted({row.address for row in rows})
    if addresses:
        async for page in chain.received(clients.http, network, addresses, unread.since):
            found += await _keep(pool, network, unread.restore_id, page)
    async with pool.connection() as conn:
        await sql.note_read(conn, network=network.id)
    if found:
        log.warning("%d transfers on %s belong to no payment here; see `instant money found`", found, network.id)
    return found


async def _keep(pool: db.Pool, network: Network, restore_id: int, page: list[chain.Transfer]) -> int:
    signed = [(one, one.nonce) for one in page if one.nonce is not None]
    async with pool.connection() as conn:
        rows = sql.keep(
            conn,
            network=network.id,
            asset=network.asset.lower(),
            restore_id=restore_id,
            payers=[one.payer for one, _ in signed],
            nonces=[nonce for _, nonce in signed],
            recipients=[one.pay_to for one, _ in signed],
            amounts=[Decimal(one.amount_atomic) for one, _ in signed],
            transactions=[one.transaction for one, _ in signed],
        )
        return len([row async for row in rows])
