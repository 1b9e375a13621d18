"""Connect OpenRouter with one click: begin a connection, and finish it with the code that the browser brings back.

The code verifier is kept by us, sealed, for ten minutes. A connection is finished once, by the browser that began it or
by its account. Anybody else who could finish it would get the key of a creator whom they lured to OpenRouter.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID, uuid4

from core import db
from core.accounts import provider_keys
from core.accounts.provider_keys import KeyState
from core.db.queries.key_connection import sql
from core.failures import InvalidInput, NotFound, Unreadable
from core.providers import openrouter_oauth
from core.providers.openrouter_oauth import KeyLimits
from core.providers.registry import OPENROUTER
from core.secrets.digests import sha256
from core.secrets.private import Private
from core.secrets.vault import vault

SECONDS = 600
"""As long as OpenRouter's own code is valid."""

_COLUMN = "key_connections.sealed_verifier"
_NOT_YOURS = (
    "this connection is over, or was begun in another browser; connect again, or if you began it, finish it with your"
    " bearer token: POST the state and the code to this address"
)


@dataclass(frozen=True, slots=True)
class Begun:
    """A connection that waits for its code.

    Attributes:
        url: OpenRouter's page, where the creator agrees.
        browser: a secret for the browser that begins it, as a cookie.
        expires_at: UTC, until when it can be finished.
    """

    url: str = field(repr=False)
    browser: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """A connection that is being finished, for its account."""

    account_id: UUID
    verifier: Private[str]


async def begin(conn: db.Connection, account_id: UUID, callback: str) -> Begun:
    """Begin a connection; an earlier one of this account ends.

    Args:
        conn: the transaction, acting for the account.
        account_id: the creator.
        callback: our URL that the browser comes back to.
    """
    state, browser, verifier, row_id = (*(secrets.token_urlsafe(32) for _ in range(3)), uuid4())
    expires_at = await sql.begin(
        conn,
        id=row_id,
        account_id=account_id,
        state_sha256=sha256(state),
        browser_sha256=sha256(browser),
        sealed_verifier=vault().seal(verifier.encode(), account=account_id, column=_COLUMN, row=row_id),
        seconds=SECONDS,
    )
    returning = f"{openrouter_oauth.reachable(callback)}?{urlencode({'state': state})}"
    return Begun(openrouter_oauth.authorization_url(returning, Private(verifier)), browser, db.required(expires_at))


async def take(pool: db.Pool, state: str, *, browser: str | None = None, account_id: UUID | None = None) -> Taken:
    """Take a connection to finish it, which nobody can do twice. Takes the pool and commits.

    Args:
        pool: the database.
        state: as it was in the callback.
        browser: the browser's secret, if it has one.
        account_id: the creator who finishes it with a bearer token.

    Raises:
        InvalidInput: names `state`: it is over, or belongs to another browser and another account.
    """
    async with pool.connection() as conn:
        row = await sql.take(
            conn, state_sha256=sha256(state), browser_sha256=sha256(browser) if browser else None, account_id=account_id
        )
    if row is None:
        raise InvalidInput({"state": _NOT_YOURS})
    try:
        verifier = vault().open(row.sealed_verifier, account=row.account_id, column=_COLUMN, row=row.id)
    except Unreadable:
        verifier = None
    if verifier is None:
        raise InvalidInput({"state": "we cannot open this connection any more; connect again"})
    return Taken(row.account_id, Private(verifier.reveal().decode()))


async def finish(pool: db.Pool, taken: Taken, code: str) -> KeyState:
    """Exchange the code for a key, check the key, and store it.

    Takes the pool and commits: no connection is held while OpenRouter is asked.

    Raises:
        InvalidInput: names `code` or `key`. The connection has to begin again.
    """
    key = await openrouter_oauth.exchange(code, taken.verifier)
    return await provider_keys.set_key(pool, taken.account_id, key, OPENROUTER, event="connected")


async def renew(pool: db.Pool, account_id: UUID, callback: str, limits: KeyLimits) -> KeyState:
    """Replace the stored key by a new one of the same account, with these limits. The old one goes on at OpenRouter.

    Takes the pool and commits: no connection is held while OpenRouter is asked.

    Raises:
        NotFound: there is no key that works.
        InvalidInput: names `key` or `code`; nothing was changed.
    """
    async with db.acting_for(pool, account_id) as conn:
        old = await provider_keys.open_key(conn, account_id, OPENROUTER)
    if old is None:
        raise NotFound
    verifier = Private(secrets.token_urlsafe(32))
    code = await openrouter_oauth.code_with(old, openrouter_oauth.reachable(callback), verifier, limits)
    key = await openrouter_oauth.exchange(code, verifier)
    return await provider_keys.set_key(pool, account_id, key, OPENROUTER, event="connected")
