"""Find out which creator asks, and whether the request may do what its route needs.

A route names its scope by the type of its parameter: `Creator` may read, `Publisher` publish, `KeyOwner` manage keys.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.door import Door, LimitedDoor
from core import db
from core.accounts import accounts, authentication
from core.accounts.tokens import SCOPES, Scope
from core.failures import Unauthorized

_bearer = HTTPBearer(
    scheme_name="creator", description="as `POST /me/tokens` or `instant creators token` gave it", auto_error=False
)


async def _identity(
    door: LimitedDoor, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> AsyncIterator[authentication.Identity]:
    if bearer is None:
        raise Unauthorized
    async with door.pool.connection() as conn:
        identity = await authentication.authenticate(conn, bearer.credentials)
    try:
        yield identity
    finally:  # the answer was sent, or the request failed
        if identity.is_use_to_note:
            await _note_use(door, identity)


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


async def _owner(identity: Identity) -> authentication.Identity:
    identity.require(*SCOPES)
    return identity


Owner = Annotated[authentication.Identity, Depends(_owner)]
"""A creator whose request has every scope: a token must not make one that may do more than itself."""
