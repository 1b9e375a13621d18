"""Show and change where a creator is paid.

Money goes from buyers to these addresses and never passes through us, so a wrong one loses it for good. A change is in
force INSTANT_PAYOUT_DELAY_SECONDS later; until then offers have the old address, and the change can be cancelled.

Functions take a connection and do not commit.
"""

from uuid import UUID

from core import db
from core.accounts import accounts
from core.db.queries.payout import PayoutRow as PayoutRow
from core.db.queries.payout import sql
from core.failures import InvalidInput, NotFound
from core.settings import settings


async def listing(conn: db.Connection, account_id: UUID) -> list[PayoutRow]:
    """List the addresses in force by network, each with the one that follows it."""
    return [row async for row in sql.listing(conn, account_id=account_id)]


async def change(conn: db.Connection, account_id: UUID, network: object, address: object) -> list[PayoutRow]:
    """Add an address on a network, at once, or change the one there, after the delay.

    Returns:
        The addresses on all networks, as `listing` does.

    Raises:
        InvalidInput: names `network` and `address`.
    """
    problems = accounts.network_problem(network, "network") | accounts.address_problem(address, "address")
    if problems or not isinstance(network, str) or not isinstance(address, str):
        raise InvalidInput(problems)
    now = {row.network: row for row in await listing(conn, account_id)}.get(network)
    if now and address.lower() == now.address.lower():
        raise InvalidInput({"address": "is in force already; to keep it, cancel the change"})
    await sql.change(
        conn,
        account_id=account_id,
        network=network,
        address=address,
        delay_seconds=settings().payout_delay_seconds,
    )
    return await listing(conn, account_id)


async def cancel(conn: db.Connection, account_id: UUID, network: str) -> None:
    """Keep the address in force, and forget the one that was to follow it.

    Raises:
        NotFound: no change waits there.
    """
    if not await sql.cancel(conn, account_id=account_id, network=network):
        raise NotFound
