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
from core.db.states import KeyActor, KeyEvent


class CreateRow(NamedTuple):
    id: UUID


class SetLimitsRow(NamedTuple):
    slots: int
    queue_limit: int
    daily_spend_cap_usd: Decimal


class ByHandleRow(NamedTuple):
    id: UUID
    handle: str


class ProfileRow(NamedTuple):
    handle: str
    display_name: str
    created_at: datetime
    slots: int
    queue_limit: int
    daily_spend_cap_usd: Decimal
    own_daily_spend_cap_usd: Decimal | None
    monthly_spend_cap_usd: Decimal | None
    most_per_call_usd: Decimal | None
    weekly_digest: bool
    spent_today_usd: Decimal
    spent_this_month_usd: Decimal


class AccountRow(NamedTuple):
    handle: str
    slots: int
    queue_limit: int
    daily_spend_cap_usd: Decimal
    created_at: datetime
    payouts: dict[str, str]
    keys: list[dict[str, object]]
    resources: int


class KeysRow(NamedTuple):
    provider: str
    label: str
    enabled: bool
    rejected_at: datetime | None
    checked_at: datetime
    created_at: datetime
    limit_remaining_usd: Decimal | None
    limit_usd: Decimal | None
    limit_reset: str | None
    expires_at: datetime | None
    obstacle: Literal["key_disabled", "key_expired", "key_missing", "key_rejected", "key_spent"] | None


class SealedKeyRow(NamedTuple):
    id: UUID
    sealed_key: bytes


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
        """No row means that the handle is taken. The unique index decides, so concurrent creations need no look-up
        first.
        """

    async def set_limits(
        self,
        conn: Connection,
        *,
        slots: int | None,
        queue_limit: int | None,
        daily_spend_cap_usd: Decimal | int | None,
        id: UUID,
    ) -> SetLimitsRow | None:
        """A NULL parameter leaves its limit unchanged."""

    async def add_payout(self, conn: Connection, *, account_id: UUID, network: str, address: str) -> int:
        """Add the address that a creator is paid at on one network."""

    async def by_handle(self, conn: Connection, *, handle: str) -> ByHandleRow | None:
        """The operator's command line names accounts by handle, as public URLs do."""

    async def profile(self, conn: Connection, *, id: UUID) -> ProfileRow | None:
        """An account as its owner sees it."""

    async def set_caps(
        self,
        conn: Connection,
        *,
        changed: list[str],
        own_daily_spend_cap_usd: Decimal | int | None,
        monthly_spend_cap_usd: Decimal | int | None,
        most_per_call_usd: Decimal | int | None,
        id: UUID,
    ) -> int:
        """A creator's own caps; those that `changed` does not name stay, and NULL removes one."""

    async def set_weekly_digest(self, conn: Connection, *, wanted: bool, id: UUID) -> int:
        """Whether a creator gets a digest of each week."""

    async def set_display_name(self, conn: Connection, *, display_name: str, id: UUID) -> int:
        """A handle is in URLs, so it never changes; this may."""

    def listing(self, conn: Connection) -> AsyncIterator[AccountRow]:
        """All accounts, with payout addresses and the state of their keys."""

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
        limit_usd: Decimal | int | None,
        limit_reset: str | None,
        expires_at: datetime | None,
        event: KeyEvent,
        actor: KeyActor,
    ) -> int:
        """One key per creator and provider. A new key gets a new row id, because the sealed value is bound to the
        id. It is not rejected at first, and stays disabled if the creator had disabled the old one.
        """

    def keys(self, conn: Connection, *, account_id: UUID) -> AsyncIterator[KeysRow]:
        """An account's keys, one for each provider, with everything known about them."""

    async def sealed_key(self, conn: Connection, *, account_id: UUID, provider: str) -> SealedKeyRow | None:
        """To use a creator's key for something other than a call."""

    async def enable_key(
        self, conn: Connection, *, enabled: bool, account_id: UUID, provider: str, actor: KeyActor
    ) -> int:
        """Enable or disable the key; nothing else changes."""

    async def reject_key(self, conn: Connection, *, account_id: UUID, provider: str, key_sha256: bytes) -> int:
        """Matched by hash, so that a late 401 for a replaced key does not reject its successor."""

    async def delete_key(self, conn: Connection, *, account_id: UUID, provider: str, actor: KeyActor) -> int:
        """Delete the key, and count the resources that were on sale with it. Zero if there was no key."""

    def keys_in_use(self, conn: Connection) -> AsyncIterator[KeysInUseRow]:
        """Keys that resources are sold on. A rejected key is not checked again: only a new key helps."""

    async def note_key(
        self,
        conn: Connection,
        *,
        limit_remaining_usd: Decimal | int | None,
        limit_usd: Decimal | int | None,
        limit_reset: str | None,
        expires_at: datetime | None,
        id: UUID,
    ) -> int:
        """Matched by id, so that the check of a replaced key is not recorded for its successor."""


sql: Queries = load("account")
