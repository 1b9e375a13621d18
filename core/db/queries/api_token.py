"""The queries of `api_token.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class TokenRow(NamedTuple):
    id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


class ByHashRow(NamedTuple):
    token_id: UUID
    id: UUID
    handle: str
    scopes: list[str]
    expires_at: datetime | None
    is_use_to_note: bool


class Queries(Protocol):
    """What `api_token.sql` offers."""

    async def add(
        self,
        conn: Connection,
        *,
        account_id: UUID,
        id: UUID,
        token_sha256: bytes,
        name: str,
        scopes: list[str],
        expires_at: datetime | None,
        most: int,
    ) -> TokenRow | None:
        """No row means that the account has as many tokens as it may, or that the id is taken. Its row is locked, so
        that they are counted exactly.
        """

    async def was_made(self, conn: Connection, *, account_id: UUID, id: UUID) -> bool:
        """Also of a token that works no more."""

    def listing(self, conn: Connection, *, account_id: UUID) -> AsyncIterator[TokenRow]:
        """The tokens that work, the newest first."""

    async def revoke(self, conn: Connection, *, account_id: UUID, id: UUID) -> int:
        """Only a token of this account. One that does not work any more is not revoked again."""

    async def by_hash(self, conn: Connection, *, noted_seconds: float, token_sha256: bytes) -> ByHashRow | None:
        """The token is found by its hash alone, so a wrong guess reveals nothing about any account."""

    async def note_use(self, conn: Connection, *, id: UUID, noted_seconds: float) -> int:
        """Concurrent requests note one use."""


sql: Queries = load("api_token")
