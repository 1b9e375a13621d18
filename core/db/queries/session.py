"""The queries of `session.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class AccountOfWalletRow(NamedTuple):
    id: UUID
    handle: str


class WalletRow(NamedTuple):
    address: str
    network: str | None
    created_at: datetime


class BeginRow(NamedTuple):
    created_at: datetime
    ends_at: datetime


class ByHashRow(NamedTuple):
    session_id: UUID
    id: UUID
    handle: str
    created_at: datetime
    ends_at: datetime
    is_use_to_note: bool


class Queries(Protocol):
    """What `session.sql` offers."""

    async def account_of_wallet(
        self, conn: Connection, *, address: str, network: str | None
    ) -> AccountOfWalletRow | None:
        """Whose wallet this is. NULL as the network means that the key of the address signed, on whatever chain."""

    async def add_wallet(
        self, conn: Connection, *, id: UUID, account_id: UUID, address: str, network: str | None
    ) -> int:
        """No row means that the wallet belongs to an account already, which may be this one."""

    def wallets(self, conn: Connection, *, account_id: UUID) -> AsyncIterator[WalletRow]:
        """The wallets of an account, the oldest first."""

    async def forget_ended(self, conn: Connection, *, account_id: UUID) -> int:
        """What has ended for good. Its nonce is too old to be used again."""

    async def begin(
        self,
        conn: Connection,
        *,
        id: UUID,
        account_id: UUID,
        session_sha256: bytes,
        nonce_sha256: bytes,
        seconds: float,
    ) -> BeginRow | None:
        """No row means that the nonce was used before. The unique index decides."""

    async def end_oldest(self, conn: Connection, *, account_id: UUID, most: int) -> int:
        """More than so many sessions at a time are not kept."""

    async def by_hash(
        self, conn: Connection, *, noted_seconds: float, session_sha256: bytes, idle_seconds: float
    ) -> ByHashRow | None:
        """The session is found by its hash alone, so a wrong guess reveals nothing about any account."""

    async def note_use(self, conn: Connection, *, id: UUID, noted_seconds: float) -> int:
        """Concurrent requests note one use."""

    async def end_session(self, conn: Connection, *, account_id: UUID, id: UUID) -> int:
        """It ends at once."""


sql: Queries = load("session")
