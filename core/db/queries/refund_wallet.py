"""The queries of `refund_wallet.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class ChangeRow(NamedTuple):
    id: UUID


class WalletState(NamedTuple):
    address: str
    daily_cap_atomic: int
    enabled: bool
    trouble: str | None
    created_at: datetime
    paid_today_atomic: int


class StoredWallet(NamedTuple):
    id: UUID
    account_id: UUID
    address: str
    sealed_key: bytes


class Queries(Protocol):
    """What `refund_wallet.sql` offers."""

    async def put(
        self, conn: Connection, *, id: UUID, account_id: UUID, address: str, sealed_key: bytes, daily_cap_atomic: int
    ) -> int:
        """Store a wallet in place of the one before; it is switched on."""

    async def change(
        self, conn: Connection, *, daily_cap_atomic: int | None, enabled: bool | None, account_id: UUID
    ) -> ChangeRow | None:
        """Change the cap, or switch it on or off; NULL leaves it."""

    async def state(self, conn: Connection, *, account_id: UUID) -> WalletState | None:
        """What may be shown of a wallet, and what it paid or may pay today (UTC)."""

    async def remove(self, conn: Connection, *, account_id: UUID) -> int:
        """Forget a wallet. What it has sent is still looked up on the chain."""

    def with_debts(self, conn: Connection) -> AsyncIterator[StoredWallet]:
        """Wallets that are switched on, of creators who owe something."""

    async def note_trouble(self, conn: Connection, *, trouble: str | None, id: UUID) -> int:
        """Why refunds were left unpaid; NULL: none was."""

    async def lock_cap(self, conn: Connection, *, account_id: UUID, payer: str) -> int | None:
        """The cap of a day, if this is still the wallet that pays by itself. Those who reserve under it wait here
        for each other.
        """

    async def fits(
        self, conn: Connection, *, amount_atomic: int, cap_atomic: int, account_id: UUID, execution_id: UUID, payer: str
    ) -> bool:
        """Whether a transfer fits into this day's cap (UTC), beside all others that may move money on it. Runs under
        `lock_cap`.
        """


sql: Queries = load("refund_wallet")
