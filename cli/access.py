"""`instant creators token`, `tokens`, `revoke`, `payouts`, `invite`, `wallet`: who may do what, and is paid where."""

from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from cli import output
from cli.remote import access as at_door
from cli.remote import door
from cli.shared import Json, in_transaction, owner
from core import db
from core.accounts import accounts, payouts, sessions, sign_up, tokens
from core.failures import InvalidInput, NotFound


@door.anywhere
def create_token(
    handle: str,
    /,
    *,
    name: str = "",
    scope: Annotated[list[str] | None, Parameter(negative=())] = None,
    days: int | None = None,
    json: Json = False,
) -> None:
    """Print a new bearer token, only this once. The others keep working.

    Args:
        handle: the creator.
        name: what the creator calls it.
        scope: what it may do: read, publish, keys or money; once for each. Without any it may do everything.
        days: how long it works; without it, until it is revoked.
    """
    new = tokens.read({"name": name, "scopes": scope or tokens.SCOPES, "days": days})

    async def create(conn: db.Connection) -> str:
        return (await tokens.create(conn, (await owner(conn, handle)).id, new)).token

    if door.chosen():
        door.check_handle(handle)
        made = at_door.create_token(new)
    else:
        made = in_transaction(create)
    show_token(handle, made, json)


@door.anywhere
def list_tokens(handle: str, /, *, json: Json = False) -> None:
    """Show the tokens of a creator that work, without the tokens themselves."""

    async def listing(conn: db.Connection) -> list[tokens.TokenRow]:
        return await tokens.listing(conn, (await owner(conn, handle)).id)

    if door.chosen():
        door.check_handle(handle)
        rows = at_door.tokens()
    else:
        rows = in_transaction(listing)
    if json:
        output.document([row._asdict() for row in rows])
        return
    output.table(
        (
            {
                "id": row.id,
                "name": row.name,
                "scopes": " ".join(row.scopes),
                "made": f"{row.created_at:%Y-%m-%d}",
                "ends": row.expires_at and f"{row.expires_at:%Y-%m-%d}",
                "used": row.used_at and f"{row.used_at:%Y-%m-%d %H:%M}",
            }
            for row in rows
        ),
        empty=f"{handle} has no token; make one with: instant creators token {handle}",
    )


@door.anywhere
def revoke_token(handle: str, token_id: UUID, /, *, json: Json = False) -> None:
    """End a token at once.

    Args:
        handle: the creator.
        token_id: its id, as `instant creators tokens` shows it.
    """

    async def revoke(conn: db.Connection) -> None:
        await tokens.revoke(conn, (await owner(conn, handle)).id, token_id)

    is_known = True
    try:
        if door.chosen():
            door.check_handle(handle)
            at_door.revoke_token(token_id)
        else:
            in_transaction(revoke)
    except NotFound:
        is_known = False
    if not is_known:
        raise InvalidInput({"token_id": f"{handle} has no such token; look at: instant creators tokens {handle}"})
    if json:
        output.document({"handle": handle, "revoked": token_id})
    else:
        output.line(f"The token {token_id} of {handle} is revoked.")


@door.anywhere
def list_payouts(handle: str, /, *, json: Json = False) -> None:
    """Show where a creator is paid on each network, and the address that follows."""

    async def listing(conn: db.Connection) -> list[payouts.PayoutRow]:
        return await payouts.listing(conn, (await owner(conn, handle)).id)

    if door.chosen():
        door.check_handle(handle)
        rows = at_door.payouts()
    else:
        rows = in_transaction(listing)
    if json:
        output.document([row._asdict() for row in rows])
        return
    output.table(
        (
            {
                "network": row.network,
                "address": row.address,
                "next": row.next_address,
                "from": row.next_from and f"{row.next_from:%Y-%m-%d %H:%M}",
            }
            for row in rows
        ),
        empty=f"{handle} is paid nowhere.",
    )


def invite(*, days: int = 14, json: Json = False) -> None:
    """Print an invitation to open an account, only this once. It is for one wallet, where INSTANT_SIGNUP is invite.

    Args:
        days: how long it can be used.
    """
    code, ends = in_transaction(lambda conn: sign_up.invite(conn, days))
    if json:
        output.document({"invite": code, "expires_at": ends})
    else:
        output.line(f"{code}\nThis opens one account until {ends:%Y-%m-%d %H:%M} UTC. It cannot be shown again.")


def add_wallet(handle: str, address: str, /, *, contract_on: str | None = None, json: Json = False) -> None:
    """Let a wallet sign in to an account. Whoever has it may do everything that the creator may.

    Args:
        handle: the creator.
        address: the wallet's.
        contract_on: for a contract wallet, the network where it is, such as eip155:8453.
    """
    problems = accounts.address_problem(address, "address")
    if contract_on is not None:
        problems |= accounts.network_problem(contract_on, "contract_on")
    if problems:
        raise InvalidInput(problems)

    async def add(conn: db.Connection) -> bool:
        return await sessions.add_wallet(conn, (await owner(conn, handle)).id, address, contract_on)

    if not in_transaction(add):
        raise InvalidInput({"address": f"{address} signs in to an account already"})
    if json:
        output.document({"handle": handle, "address": address, "contract_on": contract_on})
    else:
        output.line(f"{handle} may sign in with {address}.")


def show_token(handle: str, token: str, json: bool) -> None:
    """Print a token, which cannot be shown again."""
    if json:
        output.document({"handle": handle, "token": token})
    else:
        output.line(f"{token}\nThis is the bearer token of {handle}. It cannot be shown again.")
