"""Find out whose request it is, and what it may do.

This crosses accounts, so it runs as the app: whose rows may be seen is not known before.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from core import db
from core.accounts import sessions, tokens
from core.accounts.accounts import Account
from core.accounts.tokens import SCOPES, Scope
from core.failures import Denied, Forbidden, Unauthorized

FRESH = timedelta(minutes=5)
"""For so long a sign-in proves who asks, also for what moves money."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose request it is: one with a token, of ours or an identity provider's, or one of a session, for everything.

    Attributes:
        account: the creator.
        scopes: what the request may do.
        token_id: the token that it came with; None for a session.
        session_id: the session that it came with; None for a token.
        signed_in_at: when the session's wallet signed in, or when the identity provider asked who it is (UTC); None for
            a token of ours.
        expires_at: when that token ends (UTC); None if never, and for a session, whose tokens outlive it.
        is_use_to_note: whether its last noted use is older than a minute.
    """

    account: Account
    scopes: frozenset[str]
    token_id: UUID | None = None
    session_id: UUID | None = None
    signed_in_at: datetime | None = None
    expires_at: datetime | None = None
    is_use_to_note: bool = False

    @property
    def is_fresh(self) -> bool:
        """Whether somebody signed in within the last five minutes."""
        return self.signed_in_at is not None and datetime.now(UTC) - self.signed_in_at <= FRESH

    def require(self, *scopes: Scope) -> None:
        """Check that the request may do this.

        Raises:
            Forbidden: it names the scopes that are missing.
        """
        if missing := [scope for scope in scopes if scope not in self.scopes]:
            raise Forbidden(missing)

    def require_fresh(self) -> None:
        """Check that somebody signed in within the last five minutes: nothing else proves who asks.

        Raises:
            Denied: it did not, or the request came with a token.
        """
        if not self.is_fresh:
            raise Denied("sign_in_needed")


async def authenticate(conn: db.Connection, token: str) -> Identity:
    """Find the account of a bearer token.

    Raises:
        Unauthorized: the token is unknown, has expired or was revoked.
    """
    row = await tokens.find(conn, token)
    if row is None:
        raise Unauthorized
    return Identity(
        Account(row.id, row.handle),
        frozenset(row.scopes),
        token_id=row.token_id,
        expires_at=row.expires_at,
        is_use_to_note=row.is_use_to_note,
    )


async def authenticate_session(conn: db.Connection, secret: str) -> Identity:
    """Find the account of a session.

    Raises:
        Unauthorized: the session is unknown, or has ended.
    """
    row = await sessions.find(conn, secret)
    if row is None:
        raise Unauthorized
    return Identity(
        Account(row.id, row.handle),
        frozenset(SCOPES),
        session_id=row.session_id,
        signed_in_at=row.created_at,
        is_use_to_note=row.is_use_to_note,
    )


async def note_use(conn: db.Connection, identity: Identity) -> None:
    """Record that a token or a session was used just now."""
    if identity.token_id is not None:
        await tokens.note_use(conn, identity.token_id)
    if identity.session_id is not None:
        await sessions.note_use(conn, identity.session_id)
