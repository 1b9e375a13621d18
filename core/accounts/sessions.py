"""Begin and end sessions of wallets that have signed in. Only hashes of sessions are stored.

Functions take a connection and do not commit. To find an account by its wallet crosses accounts, so it runs as the app.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from core import db
from core.accounts.accounts import Account
from core.accounts.tokens import NOTED_SECONDS
from core.db.queries.session import ByHashRow, sql
from core.db.queries.session import WalletRow as WalletRow
from core.failures import InvalidInput
from core.secrets.digests import sha256
from core.settings import settings

if TYPE_CHECKING:
    from core.accounts.sign_in import SignedIn  # it loads what only a sign-in needs

IDLE_SECONDS = 604_800
"""A session ends after a week without a request."""

_MOST = 20


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has just begun: `secret` cannot be read again. It ends at `ends_at` (UTC) at the latest."""

    secret: str
    created_at: datetime
    ends_at: datetime


async def account_of(conn: db.Connection, wallet: "SignedIn") -> Account | None:
    """Find the account that a wallet belongs to; None if there is none."""
    row = await sql.account_of_wallet(conn, address=wallet.address, network=network_of(wallet))
    return None if row is None else Account(row.id, row.handle)


async def add_wallet(conn: db.Connection, account_id: UUID, address: str, network: str | None) -> bool:
    """Let a wallet sign in to an account; False if it belongs to an account already.

    Args:
        conn: the transaction.
        account_id: the account.
        address: `0x` and 40 hexadecimal digits.
        network: for a contract, where it is (CAIP-2); None for an ordinary wallet.
    """
    return bool(await sql.add_wallet(conn, id=uuid4(), account_id=account_id, address=address.lower(), network=network))


async def wallets(conn: db.Connection, account_id: UUID) -> list[WalletRow]:
    """List the wallets of an account, the oldest first."""
    return [row async for row in sql.wallets(conn, account_id=account_id)]


async def begin(conn: db.Connection, account_id: UUID, wallet: "SignedIn") -> Session:
    """Begin a session. Of more than twenty at a time, the oldest end.

    Raises:
        InvalidInput: the message was used before.
    """
    await sql.forget_ended(conn, account_id=account_id)
    secret = secrets.token_urlsafe(32)
    row = await sql.begin(
        conn,
        id=uuid4(),
        account_id=account_id,
        session_sha256=sha256(secret),
        nonce_sha256=sha256(wallet.nonce),
        seconds=settings().session_seconds,
    )
    if row is None:
        raise InvalidInput({"message": "its nonce was used before; get a new one"})
    await sql.end_oldest(conn, account_id=account_id, most=_MOST)
    return Session(secret, row.created_at, row.ends_at)


async def find(conn: db.Connection, secret: str) -> ByHashRow | None:
    """Find a session with its account, whosever it is; None if it is unknown, or has ended."""
    return await sql.by_hash(
        conn,
        session_sha256=sha256(secret),
        idle_seconds=IDLE_SECONDS,
        noted_seconds=NOTED_SECONDS,
    )


async def note_use(conn: db.Connection, session_id: UUID) -> None:
    """Record that a session was used just now, which moves the end of its pause."""
    await sql.note_use(conn, id=session_id, noted_seconds=NOTED_SECONDS)


async def end(conn: db.Connection, account_id: UUID, session_id: UUID) -> None:
    """End a session at once."""
    await sql.end_session(conn, account_id=account_id, id=session_id)


def network_of(wallet: "SignedIn") -> str | None:
    """Return where a contract wallet is; None for one that has a key, which is the same on every network."""
    return wallet.network if wallet.is_contract else None
