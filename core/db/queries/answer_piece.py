"""The queries of `answer_piece.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import Streamed


class AppendedRow(NamedTuple):
    id: UUID
    is_written: bool
    is_over: bool


class PieceRow(NamedTuple):
    reader: int
    id: UUID
    starts_at: int
    sealed_text: bytes


class Queries(Protocol):
    """What `answer_piece.sql` offers."""

    def append(
        self,
        conn: Connection,
        *,
        ids: list[UUID],
        execution_ids: list[UUID],
        attempt_ids: list[UUID | None],
        rounds: list[int],
        starts_at: list[int],
        sealed_texts: list[bytes],
    ) -> AsyncIterator[AppendedRow]:
        """Add pieces of answers that are being made, and wake their readers. Only the current attempt of a running
        execution may. The lock keeps the execution from ending before the piece is there; a locked one is
        left for the next time, so this waits for nobody. It may have been written before, by a
        transaction whose end nobody heard of.
        """

    def read(
        self, conn: Connection, *, execution_ids: list[UUID], rounds: list[int], starts_at: list[int], most: int
    ) -> AsyncIterator[PieceRow]:
        """The next pieces of each reader, who may all read different executions or places."""

    async def has_any(self, conn: Connection, *, execution_id: UUID, round: int) -> bool:
        """Whether somebody may have seen the beginning of an answer of this round."""

    async def ask(self, conn: Connection, *, streamed: Streamed | None, execution_id: UUID) -> int:
        """Somebody wants to watch. That counts only until the execution begins."""


sql: Queries = load("answer_piece")
