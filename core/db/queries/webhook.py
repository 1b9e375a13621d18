"""The queries of `webhook.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import Fault, NoticeRule, Outcome, OutcomeCode, WebhookEvent


class AddRow(NamedTuple):
    id: UUID
    created_at: datetime


class WebhookRow(NamedTuple):
    id: UUID
    account_id: UUID
    name: str
    events: list[str]
    sealed_endpoint: bytes
    created_at: datetime
    delivered_at: datetime | None
    disabled_at: datetime | None
    waiting: int


class FindRow(NamedTuple):
    id: UUID
    account_id: UUID
    sealed_endpoint: bytes


class Message(NamedTuple):
    id: int
    tries: int
    event: WebhookEvent
    created_at: datetime
    webhook_id: UUID | None
    account_id: UUID | None
    sealed_endpoint: bytes | None
    disabled_at: datetime | None
    notice_id: UUID | None
    rule: NoticeRule | None
    facts: dict[str, object] | None
    slug: str | None
    number: int | None
    execution_id: UUID | None
    round: int | None
    outcome: Outcome | None
    code: OutcomeCode | None
    fault: Fault | None
    detail: str | None
    amount_atomic: int | None
    cost_usd: Decimal | None
    network: str | None
    transaction: str | None


class Queries(Protocol):
    """What `webhook.sql` offers."""

    async def add(
        self,
        conn: Connection,
        *,
        id: UUID,
        account_id: UUID,
        name: str,
        events: list[str],
        sealed_endpoint: bytes,
        most: int,
    ) -> AddRow | None:
        """No row means that the limit of webhooks is reached, or that the id is taken; runs under `take_turns` of
        the notices.
        """

    def listing(self, conn: Connection, *, account_id: UUID) -> AsyncIterator[WebhookRow]:
        """A creator's webhooks, with what waits for each."""

    async def find(self, conn: Connection, *, id: UUID, account_id: UUID) -> FindRow | None:
        """One of them, locked: its secrets may be about to change."""

    async def put_endpoint(self, conn: Connection, *, sealed_endpoint: bytes, id: UUID) -> int:
        """The same URL with another secret."""

    async def remove(self, conn: Connection, *, id: UUID, account_id: UUID) -> int:
        """What still waits for it fails, and stays in the log under its name."""

    async def tell_of_notices(self, conn: Connection, *, notice_ids: list[UUID]) -> int:
        """Queue what the webhooks of their creators are to be told of new notices."""

    def claim(self, conn: Connection, *, pauses: list[int], lost_seconds: float, most: int) -> AsyncIterator[Message]:
        """Claim messages whose time has come, or whose sender never reported back. The try is counted before it is
        made; after the n-th the n-th pause follows. One endpoint gets only a few at once, so that a slow
        one does not keep the others waiting. Once more, because another process may have claimed it
        meanwhile.
        """

    async def delivered(self, conn: Connection, *, id: int) -> int:
        """A delivery that was taken, and so a webhook that works."""

    async def not_delivered(self, conn: Connection, *, reason: str | None, id: int) -> int:
        """Wait for the next try."""

    async def given_up(self, conn: Connection, *, reason: str | None, id: int) -> int:
        """No try is left. If its webhook took nothing since this began to wait, nothing is sent there any more."""

    async def enable(self, conn: Connection, *, id: UUID) -> int:
        """A message was taken that its owner sent to try it."""

    async def forget(self, conn: Connection, *, days: int) -> int:
        """What was said of calls, and is over."""


sql: Queries = load("webhook")
