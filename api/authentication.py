"""Find out which creator asks, and whether the request may do what its route needs.

A route names its scope by the type of its parameter: `Creator` may read, `Publisher` publish, `KeyOwner` manage keys,
`Payee` see and keep payout addresses.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from api.door import Door, LimitedDoor
from core import db
from core.accounts import accounts, authentication, identities
from core.accounts.tokens import SCOPES, Scope
from core.failures import Denied, Unauthorized
from core.settings import settings

_SAFE = ("GET", "HEAD", "OPTIONS")

_bearer = HTTPBearer(
    scheme_name="creator",
    description="as `POST /me/tokens` or `instant creators token` gave it, or a JWT of the identity provider",
    auto_error=False,
)
_cookie = APIKeyCookie(
    name="__Host-session",
    scheme_name="session",
    description="as `POST /sign-in` set it; a door without https calls it `session`",
    auto_error=False,
)


def is_https() -> bool:
    """Whether browsers reach this door by https."""
    return settings().public_url.lower().startswith("https:")


def session_cookie() -> str:
    """Return the name of the session's cookie. Browsers take `__Host-` only from https (RFC 6265bis, 4.1.3)."""
    return "__Host-session" if is_https() else "session"


def token_cookie() -> str:
    """Return the name of the cookie of a token that somebody signed in with. Browsers send it only to this door."""
    return "__Host-token" if is_https() else "token"


def refuse_other_sites(request: Request, *, needs_proof: bool) -> None:
    """Refuse a request that another site made a browser send (Fetch Metadata; RFC 6454, 7).

    Args:
        request: the request.
        needs_proof: whether to refuse also what does not say where it comes from, as programs do, but not browsers.

    Raises:
        Denied: it is not from a page of ours.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    ours = urlsplit(settings().public_url)
    is_wrong_site = site not in (None, "same-origin")
    is_wrong_origin = site is None and origin not in (None, f"{ours.scheme}://{ours.netloc}".lower())
    if is_wrong_site or is_wrong_origin or (needs_proof and site is None and origin is None):
        raise Denied("cross_site")


async def _identity(
    request: Request,
    door: LimitedDoor,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    _documented: Annotated[str | None, Depends(_cookie)],
) -> AsyncIterator[authentication.Identity]:
    secret, kept = (request.cookies.get(name) for name in (session_cookie(), token_cookie()))
    if bearer is None and (secret or kept) and request.method not in _SAFE:
        refuse_other_sites(request, needs_proof=True)
    # A token in a cookie may do what the token may; only a wallet's sign-in begins a session, which may do everything.
    token = bearer.credentials if bearer else None if secret else kept
    if token is not None:
        identity = await of_token(door, token)
    elif secret:
        async with door.pool.connection() as conn:
            identity = await authentication.authenticate_session(conn, secret)
    else:
        raise Unauthorized
    try:
        yield identity
    finally:  # the answer was sent, or the request failed
        if identity.is_use_to_note:
            await _note_use(door, identity)


async def of_token(door: Door, token: str) -> authentication.Identity:
    """Find out whose token this is: one of ours, or the identity provider's.

    Raises:
        Unauthorized: it opens nothing.
        Denied: `identity_unknown`, it belongs to no account.
    """
    # Its provider may be asked for its keys, so no connection is held yet.
    claims = await identities.check(door.identity_keys, token) if identities.is_served(token) else None
    async with door.pool.connection() as conn:
        if claims is not None:
            return await identities.authenticate(conn, claims)
        return await authentication.authenticate(conn, token)


async def _note_use(door: Door, identity: authentication.Identity) -> None:
    with suppress(*db.UNREACHABLE):  # it is noted at the next use
        async with door.pool.connection() as conn:
            await authentication.note_use(conn, identity)


Identity = Annotated[authentication.Identity, Depends(_identity)]


def creator_for(*scopes: Scope) -> Callable[[authentication.Identity], Awaitable[accounts.Account]]:
    """Return a dependency that yields the creator, if the request has all these scopes."""

    async def creator(identity: Identity) -> accounts.Account:
        identity.require(*scopes)
        return identity.account

    return creator


Creator = Annotated[accounts.Account, Depends(creator_for("read"))]
Publisher = Annotated[accounts.Account, Depends(creator_for("publish"))]
KeyOwner = Annotated[accounts.Account, Depends(creator_for("keys"))]
Payee = Annotated[accounts.Account, Depends(creator_for("money"))]


async def _owner(identity: Identity) -> authentication.Identity:
    identity.require(*SCOPES)
    return identity


Owner = Annotated[authentication.Identity, Depends(_owner)]
"""A creator whose request has every scope: a token must not make one that may do more than itself."""
