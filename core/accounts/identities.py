"""Let creators sign in with tokens (JWT) of an outside identity provider.

An account may have identities: an issuer with a subject. Functions that take a connection do not commit. To find an
account by its identity crosses accounts, so it runs as the app.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from core import db
from core.accounts import accounts
from core.accounts.accounts import Account
from core.accounts.authentication import FRESH, Identity
from core.accounts.identity_keys import IdentityKeys
from core.accounts.sign_up import use_invite
from core.accounts.tokens import SCOPES
from core.db.queries.identity import IdentityRow as IdentityRow
from core.db.queries.identity import sql
from core.failures import Denied, InvalidInput, NotFound, Unauthorized
from core.secrets import jwt_keys
from core.settings import settings

MOST = 20
"""Most identities of one account."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token that was checked says.

    Attributes:
        signed_in_at: when its holder showed the provider who they are (`auth_time`, UTC); None if it does not say.
        issued_at: when it was made (`iat`, UTC).
    """

    issuer: str
    subject: str
    signed_in_at: datetime | None
    issued_at: datetime


def is_served(token: str) -> bool:
    """Tell whether a bearer token is one of the identity provider's, by its form: ours have no points."""
    return bool(settings().identity_issuer) and token.count(".") == 2


async def check(keys: IdentityKeys, token: str) -> Claims:
    """Check a token. No connection may be held: the provider may be asked for its keys.

    Raises:
        Unauthorized: it is none of the identity provider's for this door, or not valid now.
    """
    config, kid = settings(), jwt_keys.key_id(token)
    key = await keys.find(kid) if kid is not None and config.identity_issuer else None
    if key is None:
        raise Unauthorized
    claims = jwt_keys.verify(token, key, issuer=config.identity_issuer, audience=config.identity_audience)
    issued_at = _time(claims, "iat")
    if issued_at is None:
        raise Unauthorized
    return Claims(config.identity_issuer, str(claims["sub"]), _time(claims, "auth_time"), issued_at)


async def authenticate(conn: db.Connection, claims: Claims) -> Identity:
    """Find the account of an identity, and what its token may do: all but money, and that too while it is fresh.

    Raises:
        Denied: `identity_unknown`, it belongs to no account.
    """
    row = await sql.account_of(conn, issuer=claims.issuer, subject=claims.subject)
    if row is None:
        raise Denied("identity_unknown")
    # A provider renews tokens without asking anybody, so where it says when it did ask, that counts.
    is_fresh = datetime.now(UTC) - (claims.signed_in_at or claims.issued_at) <= FRESH
    scopes = frozenset(scope for scope in SCOPES if scope != "money" or is_fresh)
    return Identity(Account(row.id, row.handle), scopes, signed_in_at=claims.signed_in_at)


async def link(conn: db.Connection, account_id: UUID, claims: Claims) -> IdentityRow:
    """Let an identity act for an account.

    Raises:
        InvalidInput: names `token`: it belongs to an account already, or there are enough.
    """
    row = await sql.add(
        conn, id=uuid4(), account_id=account_id, issuer=claims.issuer, subject=claims.subject, most=MOST
    )
    if row is None:
        raise InvalidInput({"token": f"its identity belongs to an account already, or this one has {MOST}"})
    return IdentityRow(*row)


async def listing(conn: db.Connection, account_id: UUID) -> list[IdentityRow]:
    """List the identities of an account, the oldest first."""
    return [row async for row in sql.listing(conn, account_id=account_id)]


async def remove(conn: db.Connection, account_id: UUID, identity_id: UUID) -> None:
    """End what an identity may do.

    Raises:
        NotFound: this account has no such identity.
    """
    if not await sql.remove(conn, account_id=account_id, id=identity_id):
        raise NotFound


async def sign_up(
    conn: db.Connection, claims: Claims, handle: str, payouts: Mapping[str, str], code: str | None
) -> Account:
    """Open an account for an identity that has none, as INSTANT_SIGNUP allows.

    Args:
        conn: the transaction, as the app. Roll it back after any error.
        claims: of its token.
        handle: the name in `/@handle/slug`, for ever.
        payouts: CAIP-2 network -> address where it is paid.
        code: an invitation, where INSTANT_SIGNUP is `invite`.

    Raises:
        Denied: INSTANT_SIGNUP is `closed`.
        InvalidInput: names `token`, `handle`, `invite` or `payouts`.
    """
    if settings().signup == "closed":
        raise Denied("identity_unknown")
    account = await accounts.open_account(conn, handle, payouts)
    await use_invite(conn, account.id, code)
    await link(conn, account.id, claims)
    return account


def _time(claims: Mapping[str, object], name: str) -> datetime | None:
    """Read a NumericDate (RFC 7519, 2); None if there is none, or nothing that can be one."""
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
