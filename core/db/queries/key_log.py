"""The queries of `key_log.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import KeyActor, KeyEvent


class ProductsRow(NamedTuple):
    slug: str
    provider: str
    is_sold: bool


class UsedRow(NamedTuple):
    provider: str
    last_used_at: datetime


class EventsRow(NamedTuple):
    event: KeyEvent
    actor: KeyActor
    label: str
    at: datetime


class UsesRow(NamedTuple):
    day: date
    label: str
    calls: int
    last_used_at: datetime


class Queries(Protocol):
    """What `key_log.sql` offers."""

    def products(
        self, conn: Connection, *, absence_tolerated: timedelta, account_id: UUID
    ) -> AsyncIterator[ProductsRow]:
        """What an account has on sale, with the provider whose key it needs, and whether it is sold on that key now.
        Caps and queues are not looked at: they pass by themselves.
        """

    def used(self, conn: Connection, *, account_id: UUID) -> AsyncIterator[UsedRow]:
        """When a call last used the key at each provider."""

    async def count_uses(
        self, conn: Connection, *, account_ids: list[UUID], providers: list[str], calls: list[int]
    ) -> int:
        """Count the calls that these keys are opened for, in an order that all writers share, so that none waits for
        another in a circle.
        """

    def events(self, conn: Connection, *, account_id: UUID, provider: str, most: int) -> AsyncIterator[EventsRow]:
        """The newest changes first."""

    def uses(self, conn: Connection, *, account_id: UUID, provider: str, days: int) -> AsyncIterator[UsesRow]:
        """The uses of the last days (UTC), the newest first."""


sql: Queries = load("key_log")
