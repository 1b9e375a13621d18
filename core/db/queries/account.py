"""The queries of `account.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class CreateRow(NamedTuple):
    id: UUID


class SetLimitsRow(NamedTuple):
    slots: int
    queue_limit: int
    daily_spend_cap_usd: Decimal


class ByTokenRow(NamedTuple):
    id: UUID
    handle: str


class ByHandleRow(NamedTuple):
    id: UUID
    handle: str


class AccountRow(NamedTuple):
    handle: str
    slots: int
    queue_limit: int
    daily_spend_cap_usd: Decimal
    created_at: datetime
    payouts: dict[str, str]
    keys: list[dict[str, object]]
    resources: int


class KeyRow(NamedTuple):
    id: UUID
    sealed_key: bytes
    label: str
    enabled: bool
    rejected_at: datetime | None
    checked_at: datetime
    limit_remaining_usd: Decimal | None
    expires_at: datetime | None
    obstacle: Literal["key_disabled", "key_expired", "key_missing", "key_rejected", "key_spent"] | None


class KeysInUseRow(NamedTuple):
    id: UUID
    account_id: UUID
    provider: str
    sealed_key: bytes


class Queries(Protocol):
    """What `account.sql` offers."""

    async def create(
        self,
        conn: Connection,
        *,
        id: UUID,
        handle: str,
        slots: int,
        queue_limit: int,
        daily_spend_cap_usd: Decimal | int,
    ) -> CreateRow | None:
        """No row means that the handle is taken: the unique index decides, so two at once need no look beforehand."""

    async def set_limits(
        self,
        conn: Connection,
        *,
        slots: int | None,
        queue_limit: int | None,
        daily_spend_cap_usd: Decimal | int | None,
        id: UUID,
    ) -> SetLimitsRow | None:
        """What is not given stays as it is."""

    async def add_payout(self, conn: Connection, *, account_id: UUID, network: str, address: str) -> int:
        """Where this creator is paid on one network."""

    async def replace_token(self, conn: Connection, *, account_id: UUID, id: UUID, token_sha256: bytes) -> int:
        """The lost or leaked token ends in the statement that brings the new one."""

    async def by_token(self, conn: Connection, *, token_sha256: bytes) -> ByTokenRow | None:
        """Found by hash alone: a wrong guess tells nothing about any account."""

    async def by_handle(self, conn: Connection, *, handle: str) -> ByHandleRow | None:
        """For the operator's command line, which names accounts as the public URL does."""

    def listing(self, conn: Connection) -> AsyncIterator[AccountRow]:
        """Everybody, with what an operator wants to see first: who is paid where, and whose key is in order."""

    async def put_key(
        self,
        conn: Connection,
        *,
        id: UUID,
        account_id: UUID,
        provider: str,
        sealed_key: bytes,
        key_sha256: bytes,
        label: str,
        limit_remaining_usd: Decimal | int | None,
        expires_at: datetime | None,
    ) -> int:
        """One key per creator and provider. Another key is another row id, because what is sealed is bound to the
        id; it starts unrejected, and stays switched off if the creator had switched the old one off.
        """

    async def key(self, conn: Connection, *, account_id: UUID, provider: str) -> KeyRow | None:
        """Everything about the key but what it is worth without the vault."""

    async def enable_key(self, conn: Connection, *, enabled: bool, account_id: UUID, provider: str) -> int:
        """The creator's own switch; the key stays as it is."""

    async def reject_key(self, conn: Connection, *, account_id: UUID, provider: str, key_sha256: bytes) -> int:
        """By hash, so that a late 401 of a key that was replaced meanwhile does not stop its successor."""

    async def delete_key(self, conn: Connection, *, account_id: UUID, provider: str) -> int:
        """Counts what was on sale with the key, in the statement that ends it. Zero if there was no key."""

    def keys_in_use(self, conn: Connection) -> AsyncIterator[KeysInUseRow]:
        """The keys that something is sold on. A rejected one is not asked about again: only another key helps."""

    async def note_key(
        self, conn: Connection, *, limit_remaining_usd: Decimal | int | None, expires_at: datetime | None, id: UUID
    ) -> int:
        """By id, so that a key that was replaced meanwhile says nothing about its successor."""


sql: Queries = load("account")
