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
    model_id: str | None
    sealed_request: bytes | None
    outcomes: list[str | None]


class MarkRow(NamedTuple):
    attempt_id: UUID
    number: int


class Queries(Protocol):
    """What `send.sql` offers."""

    async def last(self, conn: Connection, *, id: UUID) -> LastRow:
        """The number of sends of the current round, the last one, and the outcomes of all, NULL where nobody saw the
        end.
        """

    def mark(
        self,
        conn: Connection,
        *,
        ids: list[UUID],
        attempt_ids: list[UUID],
        sealed_requests: list[bytes | None],
        model_ids: list[str | None],
        latin_characters: list[int | None],
        other_characters: list[int | None],
        send_limit: int,
    ) -> AsyncIterator[MarkRow]:
        """The durable marks of sends. They are committed first, so no execution is sent more often than its limit."""

    async def note(
        self,
        conn: Connection,
        *,
        execution_ids: list[UUID],
        rounds: list[int],
        numbers: list[int],
        generation_ids: list[str],
    ) -> int:
        """The provider has begun: from now on its cost can be looked up, even if the answer is lost."""

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
        """Record how sends ended and what they used. The first record counts, also from an attempt that was taken
        over since.
        """

    async def name_source(
        self, conn: Connection, *, source_id: str | None, execution_id: UUID, round: int, number: int
    ) -> int:
        """A cached answer names the generation of the earlier send that it was made for, whose own id was never
        received.
        """


sql: Queries = load("send")
