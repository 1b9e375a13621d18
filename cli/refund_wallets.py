"""`instant refunds wallet`, `set-wallet`, `change-wallet`, `remove-wallet`: a wallet that pays refunds by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cli import output
from cli.refund_payment import KEY_VARIABLE
from cli.remote import door
from cli.shared import Json, in_transaction, owner
from cli.wallet_key import read_key
from core import db
from core.amounts import usdc
from core.failures import InvalidInput, NotFound
from core.payments.refunds import words

if TYPE_CHECKING:
    from uuid import UUID

    from core.payments.refund_wallets import WalletState

T = TypeVar("T")


@door.anywhere
def show_wallet(handle: str, /, *, json: Json = False) -> None:
    """Show the wallet that pays a creator's refunds, never its key."""
    from cli.remote import refunds as at_door

    if door.chosen():
        door.check_handle(handle)
        state = _known(at_door.wallet_state)
    else:
        state = _known(lambda: _here(handle, _state))
    _show(state, json=json)


@door.anywhere
def set_wallet(handle: str, /, *, daily_cap_usdc: str, key_file: Path | None = None, json: Json = False) -> None:
    """Let a wallet pay a creator's due refunds by itself. Give it little money.

    Its key is in INSTANT_REFUND_KEY or in a file; it is stored sealed, in place of the one before, and never shown.

    Args:
        handle: the creator.
        daily_cap_usdc: most that it pays in one UTC day, such as 2.5.
        key_file: a file with the private key, which others cannot read.
        json: print JSON.
    """
    from cli.remote import refunds as at_door
    from core.payments import refund_wallets

    key = read_key(key_file, KEY_VARIABLE, "--key-file")
    if door.chosen():
        door.check_handle(handle)
        state = at_door.put_wallet(key, daily_cap_usdc)
    else:
        state = _here(handle, lambda conn, account_id: refund_wallets.put(conn, account_id, key, daily_cap_usdc))
    _show(state, json=json)


@door.anywhere
def change_wallet(
    handle: str, /, *, daily_cap_usdc: str | None = None, enabled: bool | None = None, json: Json = False
) -> None:
    """Change the cap of the wallet that pays a creator's refunds, or switch it on or off.

    Args:
        handle: the creator.
        daily_cap_usdc: most that it pays in one UTC day.
        enabled: whether it pays.
        json: print JSON.
    """
    from cli.remote import refunds as at_door
    from core.payments import refund_wallets

    if daily_cap_usdc is None and enabled is None:
        raise InvalidInput({"--daily-cap-usdc": "name what to change: this, --enabled or --no-enabled"})

    async def change(conn: db.Connection, account_id: UUID) -> WalletState:
        return await refund_wallets.change(conn, account_id, daily_cap_usdc=daily_cap_usdc, enabled=enabled)

    if door.chosen():
        door.check_handle(handle)
        state = _known(lambda: at_door.change_wallet(daily_cap_usdc, enabled))
    else:
        state = _known(lambda: _here(handle, change))
    _show(state, json=json)


@door.anywhere
def remove_wallet(handle: str, /, *, json: Json = False) -> None:
    """Delete the key of the wallet that pays a creator's refunds."""
    from cli.remote import refunds as at_door
    from core.payments import refund_wallets

    if door.chosen():
        door.check_handle(handle)
        at_door.remove_wallet()
    else:
        _here(handle, refund_wallets.remove)
    if json:
        output.document({"handle": handle, "state": "removed"})
    else:
        output.line("No wallet pays by itself.")


def _here(handle: str, work: Callable[[db.Connection, UUID], Awaitable[T]]) -> T:
    """Do something about a creator in the database of this machine."""

    async def about(conn: db.Connection) -> T:
        return await work(conn, (await owner(conn, handle)).id)

    return in_transaction(about)


async def _state(conn: db.Connection, account_id: UUID) -> WalletState:
    from core.payments import refund_wallets

    if state := await refund_wallets.state(conn, account_id):
        return state
    raise NotFound


def _known(read: Callable[[], WalletState]) -> WalletState:
    """Read a wallet that there has to be.

    Raises:
        InvalidInput: there is none.
    """
    try:
        return read()
    except NotFound:
        pass
    raise InvalidInput({"handle": "has no wallet that pays by itself; store one with: instant refunds set-wallet"})


def _show(state: WalletState, *, json: bool) -> None:
    facts = {
        "address": state.address,
        "enabled": state.enabled,
        "daily_cap_usdc": usdc(state.daily_cap_atomic),
        "paid_today_usdc": usdc(state.paid_today_atomic),
        "trouble": state.trouble,
        "set_at": state.created_at,
    }
    if json:
        output.document(facts)
        return
    output.line(
        f"{state.address} {'pays' if state.enabled else 'is switched off; it would pay'} due refunds, up to "
        f"{facts['daily_cap_usdc']} USDC a day (UTC); {facts['paid_today_usdc']} today."
    )
    if state.trouble:
        output.remark(f"It left some unpaid: {words(state.trouble)}.")
