"""Make, list and revoke the bearer tokens of creators. Only their hashes are stored.

Functions take a connection and do not commit.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, cast, get_args
from uuid import UUID, uuid4

from core import db
from core.db.queries.api_token import ByHashRow, sql
from core.db.queries.api_token import TokenRow as TokenRow
from core.failures import InvalidInput, NotFound
from core.secrets.digests import sha256

Scope = Literal["read", "publish", "keys", "money"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""What a token may do: see everything of the account but keys; test and publish; manage keys; manage payouts."""

MOST = 50
"""Most tokens of one account that work."""

NOTED_SECONDS = 60
"""A use is noted at most so often, because each note is a write."""

_LONGEST_NAME = 60
_MOST_DAYS = 3650
_FIELDS = ("name", "scopes", "days")


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to make.

    Attributes:
        name: what its creator calls it; one line, at most 60 characters.
        scopes: what it may do; each scope stands for itself.
        days: how long it works; None: until it is revoked.
    """

    name: str = ""
    scopes: tuple[Scope, ...] = SCOPES
    days: int | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """A token that was just made: `token` cannot be read again."""

    token: str
    row: TokenRow


def read(fields: Mapping[str, object]) -> NewToken:
    """Read the fields of `NewToken`; a field that is missing has its default, and `scopes` has none.

    Raises:
        InvalidInput: names every field that does not fit.
    """
    problems = {name: f"is unknown; there are {', '.join(_FIELDS)}" for name in fields.keys() - {*_FIELDS}}
    name, scopes, days = fields.get("name", ""), fields.get("scopes"), fields.get("days")
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not name.isprintable():
        problems["name"] = f"must be a text of at most {_LONGEST_NAME} characters, in one line"
    if not isinstance(scopes, list | tuple) or not scopes or any(scope not in SCOPES for scope in scopes):
        problems["scopes"] = f"must be a list of some of: {', '.join(SCOPES)}"
    if days is not None and not (type(days) is int and 1 <= days <= _MOST_DAYS):
        problems["days"] = f"must be a whole number from 1 to {_MOST_DAYS}, or be left out"
    if problems:
        raise InvalidInput(problems)
    wanted = cast("list[Scope]", scopes)
    return NewToken(str(name), tuple(scope for scope in SCOPES if scope in wanted), cast("int | None", days))


async def create(
    conn: db.Connection,
    account_id: UUID,
    new: NewToken,
    *,
    not_after: datetime | None = None,
    token_id: UUID | None = None,
) -> Created:
    """Make a token, beside those that there are.

    Args:
        conn: the transaction.
        account_id: whom it stands for.
        new: from `read`.
        not_after: when it ends at the latest (UTC); None: its own days decide.
        token_id: its id, so that a request that is repeated makes none; None: a new one.

    Raises:
        InvalidInput: the account has as many tokens as it may, or the one with this id was made.
        NotFound: there is no such account.
    """
    token = "x4i_" + secrets.token_urlsafe(32)
    ends = None if new.days is None else datetime.now(UTC) + timedelta(days=new.days)
    row = await sql.add(
        conn,
        id=token_id or uuid4(),
        account_id=account_id,
        token_sha256=sha256(token),
        name=new.name,
        scopes=list(new.scopes),
        expires_at=min((end for end in (ends, not_after) if end), default=None),
        most=MOST,
    )
    if row is None and token_id is not None and await sql.was_made(conn, account_id=account_id, id=token_id):
        raise InvalidInput({"token": "this form made its token already, and showed it then; send it again for another"})
    if row is None:
        raise InvalidInput({"token": f"this account has {MOST} tokens already; revoke one"})
    return Created(token, row)


async def listing(conn: db.Connection, account_id: UUID) -> list[TokenRow]:
    """List the tokens that work, the newest first; a token itself is not among what is stored."""
    return [row async for row in sql.listing(conn, account_id=account_id)]


async def revoke(conn: db.Connection, account_id: UUID, token_id: UUID) -> None:
    """End a token at once.

    Raises:
        NotFound: the account has no such token that works.
    """
    if not await sql.revoke(conn, account_id=account_id, id=token_id):
        raise NotFound


async def find(conn: db.Connection, token: str) -> ByHashRow | None:
    """Find a token with its account, whosever it is; None if it is unknown, or has ended."""
    return await sql.by_hash(conn, token_sha256=sha256(token), noted_seconds=NOTED_SECONDS)


async def note_use(conn: db.Connection, token_id: UUID) -> None:
    """Record that a token was used just now."""
    await sql.note_use(conn, id=token_id, noted_seconds=NOTED_SECONDS)
