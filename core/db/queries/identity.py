"""The queries of `identity.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class AccountOfRow(NamedTuple):
    id: UUID
    handle: str


class AddRow(NamedTuple):
    id: UUID
    issuer: str
    subject: str
    created_at: datetime


class IdentityRow(NamedTuple):
    id: UUID
    issuer: str
    subject: str
    created_at: datetime


class Queries(Protocol):
    """What `identity.sql` offers."""

    async def account_of(self, conn: Connection, *, issuer: str, subject: str) -> AccountOfRow | None:
        """Whose identity this is. It is found before anybody is known."""

    async def add(
        self, conn: Connection, *, id: UUID, account_id: UUID, issuer: str, subject: str, most: int
    ) -> AddRow | None:
        """No row means that the identity belongs to an account already, which may be this one, or that there are
        enough.
        """

    def listing(self, conn: Connection, *, account_id: UUID) -> AsyncIterator[IdentityRow]:
        """The identities of an account, the oldest first."""

    async def remove(self, conn: Connection, *, account_id: UUID, id: UUID) -> int:
        """Its tokens open nothing from now on."""


sql: Queries = load("identity")
