"""Find out whose request it is, and what it may do.

This crosses accounts, so it runs as the app: whose rows may be seen is not known before.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core import db
from core.accounts.accounts import Account
from core.accounts.tokens import Scope
from core.db.queries.api_token import sql
from core.failures import Forbidden, Unauthorized
from core.secrets.digests import sha256

# A use is noted at most so often, because each note is a write.
_NOTED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose request it is.

    Attributes:
        account: the creator.
        scopes: what the request may do.
        token_id: the token that it came with.
        expires_at: when that token ends (UTC); None if never.
        is_use_to_note: whether its last noted use is older than a minute.
    """

    account: Account
    scopes: frozenset[str]
    token_id: UUID
    expires_at: datetime | None
    is_use_to_note: bool

    def require(self, *scopes: Scope) -> None:
        """Check that the request may do this.

        Raises:
            Forbidden: it names the scopes that are missing.
        """
        if missing := [scope for scope in scopes if scope not in self.scopes]:
            raise Forbidden(missing)


async def authenticate(conn: db.Connection, token: str) -> Identity:
    """Find the account of a bearer token.

    Raises:
        Unauthorized: the token is unknown, has expired or was revoked.
    """
    row = await sql.by_hash(conn, token_sha256=sha256(token), noted_seconds=_NOTED_SECONDS)
    if row is None:
        raise Unauthorized
    return Identity(
        Account(row.id, row.handle), frozenset(row.scopes), row.token_id, row.expires_at, row.is_use_to_note
    )


async def note_use(conn: db.Connection, identity: Identity) -> None:
    """Record that a token was used just now."""
    await sql.note_use(conn, id=identity.token_id, noted_seconds=_NOTED_SECONDS)
