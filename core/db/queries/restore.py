"""The queries of `restore.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class UnreadRow(NamedTuple):
    restore_id: int | None
    since: datetime | None


class KeptRow(NamedTuple):
    transaction: str


class Found(NamedTuple):
    network: str
    asset: str
    payer: str
    pay_to: str
    amount_atomic: Decimal
    transaction: str
    found_at: datetime
    backup_at: datetime
    payment_id: UUID | None


class Queries(Protocol):
    """What `restore.sql` offers."""

    async def note(self, conn: Connection, *, backup_at: datetime) -> int:
        """Mark the moment to which the database was taken back."""

    async def unread(self, conn: Connection, *, network: str, seconds: float) -> UnreadRow:
        """The restores whose time this network's chain was not read whole after everything from before had landed,
        as one: the newest, and the earliest moment of all.
        """

    def keep(
        self,
        conn: Connection,
        *,
        network: str,
        asset: str,
        restore_id: int,
        payers: list[str],
        nonces: list[bytes],
        recipients: list[str],
        amounts: list[Decimal],
        transactions: list[str],
    ) -> AsyncIterator[KeptRow]:
        """Keep those transfers that no payment knows, each once."""

    async def note_read(self, conn: Connection, *, network: str) -> int:
        """The chain of this network was read whole for every restore until now."""

    def found(self, conn: Connection, *, most: int) -> AsyncIterator[Found]:
        """What was found, the newest restore first: claimed, if a payment of the same authorization is recorded by
        now.
        """

    async def forget_workers(self, conn: Connection) -> int:
        """The processes of before are gone, and what they held is free at once."""


sql: Queries = load("restore")
