"""Publish the text of an answer while it is made: sealed pieces in Postgres, which readers at any door are woken for.

Only the text that the stored answer will have is published, as far as that can be known: no reasoning, and no mark of
the prompt shield. A piece gathers what arrives within a short window, and the pieces of all calls of a process share a
statement, so that the load on Postgres is bounded (docs/decisions/0026).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from uuid import UUID, uuid4

from core import db
from core.db.queries.answer_piece import AppendedRow, PieceRow, sql
from core.db.states import Streamed
from core.failures import Unreadable, log_unexpected_end
from core.providers.reasoning import Gate
from core.secrets.vault import vault

_COLUMN = "answer_pieces.sealed_text"
# Readers wait for text at most this long beside what writing it takes. All calls write at the same moments.
_WINDOW_SECONDS = 0.03
_PIECE_CHARACTERS = 16_384
# Of one answer. What is longer comes with its end.
_MOST_CHARACTERS = 1_000_000
# Of one reader at a time, so that a slow one holds little in memory.
_READ_PIECES = 16


@dataclass(frozen=True, slots=True)
class Source:
    """The attempt whose answer is published."""

    account_id: UUID
    execution_id: UUID
    attempt_id: UUID
    round: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece to write."""

    source: Source
    starts_at: int
    id: UUID
    sealed_text: bytes = field(repr=False)


class Writer:
    """Publish the text of one answer.

    Attributes:
        is_shown: whether somebody may have seen some of it. Then it is neither sent again nor asked of another model.
    """

    def __init__(self, pool: db.Pool, source: Source, unmark: Callable[[str], str]) -> None:
        self.is_shown = False
        self._pool, self._source, self._unmark = pool, source, unmark
        self._gate = Gate()
        self._waiting, self._size = "", 0
        self._arrived = asyncio.Event()

    def add(self, text: str) -> None:
        """Take the text that the model has just written, with its reasoning."""
        shown = self._unmark(self._gate.feed(text))
        if shown and self._size + len(self._waiting) < _MOST_CHARACTERS:
            self._waiting += shown
            self._arrived.set()

    async def run(self) -> None:
        """Write pieces until cancelled, or until the attempt is not the current one any more."""
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                if await self._write_next():
                    return
                await asyncio.sleep(_WINDOW_SECONDS - loop.time() % _WINDOW_SECONDS)

    async def _write_next(self) -> bool:
        """Write the next piece; True if no more may be written."""
        text, source = self._waiting[:_PIECE_CHARACTERS], self._source
        self.is_shown, piece_id = True, uuid4()
        sealed = vault().seal(text.encode(), account=source.account_id, column=_COLUMN, row=piece_id)
        row = await _appends.add(self._pool, _Piece(source, self._size, piece_id, sealed))
        if row.is_written:
            self._waiting = self._waiting[len(text) :]
            self._size += len(text)
        return row.is_over and not row.is_written


@asynccontextmanager
async def writing(pool: db.Pool, source: Source, unmark: Callable[[str], str]) -> AsyncIterator[Writer]:
    """Publish what is added within the block.

    Takes the pool: pieces are committed while the call runs.

    Args:
        pool: our database.
        source: the attempt that gets the answer.
        unmark: removes the prompt shield's marks from a text that ends within none.
    """
    writer = Writer(pool, source, unmark)
    running = asyncio.create_task(writer.run(), name="publish")
    running.add_done_callback(log_unexpected_end)
    try:
        yield writer
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([running])


async def is_shown(conn: db.Connection, execution_id: UUID, round_number: int) -> bool:
    """Whether somebody may have seen the beginning of this round's answer."""
    return await sql.has_any(conn, execution_id=execution_id, round=round_number)


async def read(pool: db.Pool, account_id: UUID, execution_id: UUID, round_number: int, starts_at: int) -> list[str]:
    """Read on in a text that is being made, from the piece that starts at this character.

    Takes the pool: reads of one moment share a statement.

    Returns:
        The next pieces that follow each other without a gap; some may be missing after a failure of Postgres.
    """
    texts: list[str] = []
    for row in await _reads.add(pool, (execution_id, round_number, starts_at)):
        if row.starts_at != starts_at:
            break
        try:
            plain = vault().open(row.sealed_text, account=account_id, column=_COLUMN, row=row.id)
        except Unreadable:
            break
        texts.append(plain.reveal().decode())
        starts_at += len(texts[-1])
    return texts


async def ask(conn: db.Connection, execution_id: UUID, streamed: Streamed) -> None:
    """Have the progress, or also the text, of an execution published. It counts only until it begins."""
    await sql.ask(conn, execution_id=execution_id, streamed=streamed)


async def _append(conn: db.Connection, pieces: Sequence[_Piece]) -> list[AppendedRow]:
    rows = sql.append(
        conn,
        ids=[piece.id for piece in pieces],
        execution_ids=[piece.source.execution_id for piece in pieces],
        attempt_ids=[piece.source.attempt_id for piece in pieces],
        rounds=[piece.source.round for piece in pieces],
        starts_at=[piece.starts_at for piece in pieces],
        sealed_texts=[piece.sealed_text for piece in pieces],
    )
    by_id = {row.id: row async for row in rows}
    return [by_id[piece.id] for piece in pieces]


async def _read(conn: db.Connection, places: Sequence[tuple[UUID, int, int]]) -> list[list[PieceRow]]:
    rows = sql.read(
        conn,
        execution_ids=[place[0] for place in places],
        rounds=[place[1] for place in places],
        starts_at=[place[2] for place in places],
        most=_READ_PIECES,
    )
    found = [row async for row in rows]
    by_reader = {reader: list(group) for reader, group in groupby(found, key=lambda row: row.reader)}
    return [by_reader.get(number, []) for number in range(1, len(places) + 1)]


_appends: db.BatchWriter[_Piece, AppendedRow] = db.BatchWriter(_append, db.retry_until_committed)
_reads: db.BatchWriter[tuple[UUID, int, int], list[PieceRow]] = db.BatchWriter(_read, db.run_in_autocommit)
