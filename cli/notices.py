"""`instant notices`: show notices, and manage the addresses that they are sent to."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from cyclopts import App, Parameter

from cli import output
from cli.remote import access as at_door
from cli.remote import door
from cli.shared import Json, in_transaction, owner, read_secret
from core import db
from core.accounts import accounts
from core.notices import addresses, messages, outbox
from core.notices import rules as notice_rules

notices = App(name="notices")

_TRIED = {
    "delivered": "It was delivered.",
    "not_delivered": "It was not delivered.",
    "not_understood": "apprise does not support this URL.",
}


@notices.command(name="list")
@door.anywhere
def list_notices(*, creator: str | None = None, most: int = 20, json: Json = False) -> None:
    """List the newest notices and their deliveries.

    Args:
        creator: only notices about this creator.
        most: how many.
        json: print JSON.
    """

    async def read(conn: db.Connection) -> list[dict[str, Any]]:
        rows = await notice_rules.listing(conn, await _owner(conn, creator), most)
        return [
            row._asdict()
            | {"title": messages.message_for(row.rule, row.handle, row.slug, row.facts, to_operator=False).title}
            for row in rows
        ]

    if door.chosen():
        _check_creator(creator)
        rows = at_door.notices(most)
    else:
        rows = in_transaction(read)
    if json:
        output.document(rows)
        return
    output.table(
        (
            {
                "found": f"{row['found_at']:%Y-%m-%d %H:%M}",
                "notice": row["title"],
                "sent": "\n".join(f"{one['name']} ({one['to']}): {one['state']}" for one in row["deliveries"]),
            }
            for row in rows
        ),
        empty="There are no notices.",
    )


@notices.command(name="add")
@door.anywhere
def add_address(
    handle: str | None = None, /, *, name: str = "", from_env: str | None = None, json: Json = False
) -> None:
    """Send notices to another apprise URL. It is read from standard input, because it holds a token or a password.

    Args:
        handle: the creator whose address it is; without one it is the operator's, who gets all notices.
        name: a name for the address.
        from_env: read the URL from this environment variable instead.
        json: print JSON.
    """
    url = read_secret("apprise URL", from_env)

    async def add() -> dict[str, object]:
        async with db.pool() as pool:
            async with pool.connection() as conn:
                owner = await _owner(conn, handle)
            return asdict(await addresses.add(pool, owner, url, name))

    if door.chosen():
        _check_creator(handle)
        added = at_door.add_notice_address(url, name)
    else:
        added = asyncio.run(add())
    if json:
        output.document(added)
        return
    trial = "" if door.chosen() else f" Try it: instant notices try {added['id']}"
    output.line(f"Notices are sent to {added['name']} ({added['scheme']}) as well.{trial}")


@notices.command(name="addresses")
@door.anywhere
def list_addresses(handle: str | None = None, /, *, json: Json = False) -> None:
    """List the addresses of a creator, or without a handle the operator's; never the URLs."""

    async def read(conn: db.Connection) -> list[dict[str, object]]:
        return [asdict(one) for one in await addresses.listing(conn, await _owner(conn, handle))]

    if door.chosen():
        _check_creator(handle)
        lines = at_door.notice_addresses()
    else:
        lines = in_transaction(read)
    if json:
        output.document(lines)
    else:
        output.table(lines, empty="No address yet; add one with: instant notices add")


@notices.command(name="remove")
@door.anywhere
def remove_address(address_id: UUID, handle: str | None = None, /, *, json: Json = False) -> None:
    """Stop sending to an address and delete it.

    Args:
        address_id: the address.
        handle: its creator; without one it is the operator's.
        json: print JSON.
    """

    async def remove(conn: db.Connection) -> None:
        await addresses.remove(conn, await _owner(conn, handle), address_id)

    if door.chosen():
        _check_creator(handle)
        at_door.remove_notice_address(address_id)
    else:
        in_transaction(remove)
    if json:
        output.document({"id": address_id, "state": "removed"})
    else:
        output.line("The address is removed.")


@notices.command(name="digest")
def set_digest(handle: str, /, *, weekly: Annotated[bool, Parameter(negative="--off")], json: Json = False) -> None:
    """Switch a creator's weekly digest on or off.

    Args:
        handle: the creator.
        weekly: whether there is one.
        json: print JSON.
    """

    async def change(conn: db.Connection) -> None:
        await accounts.set_weekly_digest(conn, (await owner(conn, handle)).id, weekly)

    in_transaction(change)
    if json:
        output.document({"handle": handle, "weekly_digest": weekly})
    else:
        output.line(f"{handle} gets {'a' if weekly else 'no'} digest of each week.")


@notices.command(name="try")
def try_address(address_id: UUID, /, *, json: Json = False) -> int:
    """Send a trial message to an address. Exits with 1 if it was not delivered."""

    async def send() -> str:
        async with db.pool() as pool:
            return await outbox.send_test(pool, address_id)

    outcome = asyncio.run(send())
    if json:
        output.document({"id": address_id, "outcome": outcome})
    else:
        output.line(_TRIED[outcome])
    return 0 if outcome == "delivered" else 1


def _check_creator(handle: str | None) -> None:
    """Without a handle, a command at a door is about the creator who asks."""
    if handle is not None:
        door.check_handle(handle)


async def _owner(conn: db.Connection, handle: str | None) -> UUID | None:
    """Return the creator's id, or None for the operator."""
    return None if handle is None else (await owner(conn, handle)).id
