"""Let a wallet that is new open an account, as INSTANT_SIGNUP allows.

Functions take a connection and do not commit. Nobody is known yet, so they run as the app.
"""

import secrets
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from core import db
from core.accounts import accounts, sessions
from core.db.queries.invite import sql
from core.failures import Denied, InvalidInput
from core.secrets.digests import sha256
from core.settings import settings

if TYPE_CHECKING:
    from core.accounts.sign_in import SignedIn  # it loads what only a sign-in needs

_NO_INVITE = "must be an invitation of the operator that was not used and has not ended"


async def invite(conn: db.Connection, days: int) -> tuple[str, datetime]:
    """Make a code that opens one account within so many days.

    Returns:
        The code, which cannot be read again, and when it ends (UTC).

    Raises:
        InvalidInput: names `days`.
    """
    if not 1 <= days <= 365:
        raise InvalidInput({"days": "must be 1 to 365"})
    code = "invite_" + secrets.token_urlsafe(16)
    return code, db.required(await sql.add(conn, code_sha256=sha256(code), days=days)).expires_at


async def sign_up(conn: db.Connection, wallet: "SignedIn", handle: str | None, code: str | None) -> accounts.Account:
    """Open an account for a wallet, which it is paid at and may sign in with.

    Args:
        conn: the transaction. Roll it back after any error.
        wallet: has signed in, and belongs to no account.
        handle: the name in `/@handle/slug`, for ever; None: none was chosen yet.
        code: an invitation, where INSTANT_SIGNUP is `invite`.

    Raises:
        Denied: INSTANT_SIGNUP is `closed`.
        InvalidInput: names `handle` and `invite`.
    """
    how = settings().signup
    if how == "closed":
        raise Denied("wallet_unknown")
    problems = {"handle": "choose one: this wallet has no account yet"} if handle is None else {}
    if handle is not None:
        problems |= accounts.handle_problem(handle)
    if how == "invite" and not (code and await sql.is_open(conn, code_sha256=sha256(code))):
        problems["invite"] = _NO_INVITE
    if handle is None or problems:
        raise InvalidInput(problems)
    account = await accounts.open_account(conn, handle, {wallet.network: wallet.address})
    await use_invite(conn, account.id, code)
    if not await sessions.add_wallet(conn, account.id, wallet.address, sessions.network_of(wallet)):
        raise InvalidInput({"handle": "this wallet has just got an account; sign in again"})
    return account


async def use_invite(conn: db.Connection, account_id: UUID, code: str | None) -> None:
    """Use an invitation up for an account that was just opened, where INSTANT_SIGNUP is `invite`.

    Raises:
        InvalidInput: names `invite`.
    """
    if settings().signup != "invite":
        return
    if not code or not await sql.use(conn, code_sha256=sha256(code), account_id=account_id):
        raise InvalidInput({"invite": _NO_INVITE})
