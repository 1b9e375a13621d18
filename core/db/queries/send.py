"""The queries of `send.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class LastRow(NamedTuple):
    sends: int
    number: int | None
    outcome: str | None
    sealed_request: bytes | None


class MarkRow(NamedTuple):
    attempt_id: UUID
    number: int


class Queries(Protocol):
    """What `send.sql` offers."""

    async def last(self, conn: Connection, *, id: UUID) -> LastRow:
        """How often the current round was sent, and how the last of them ended as far as anybody saw."""

    def mark(
        self,
        conn: Connection,
        *,
        ids: list[UUID],
        attempt_ids: list[UUID],
        sealed_requests: list[bytes | None],
        send_limit: int,
    ) -> AsyncIterator[MarkRow]:
        """The durable marks before sends: committed first, so that no execution is ever sent more often than its
        bound.
        """

    async def note(
        self,
        conn: Connection,
        *,
        execution_ids: list[UUID],
        rounds: list[int],
        numbers: list[int],
        generation_ids: list[str],
    ) -> int:
        """The provider has begun: from here on its cost can be asked for, whatever becomes of the answer."""

    async def finish(
        self,
        conn: Connection,
        *,
        execution_ids: list[UUID],
        rounds: list[int],
        numbers: list[int],
        outcomes: list[str | None],
        generation_ids: list[str | None],
        models_served: list[str | None],
        input_tokens: list[int | None],
        output_tokens: list[int | None],
        costs_usd: list[Decimal | None],
    ) -> int:
        """How they ended and what they used; the first word counts, also from an attempt that was taken over
        meanwhile.
        """

    async def name_source(
        self, conn: Connection, *, source_id: str | None, execution_id: UUID, round: int, number: int
    ) -> int:
        """A stored answer names the send that it was made for, whose own headers nobody saw."""


sql: Queries = load("send")
