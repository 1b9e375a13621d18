"""Watch an execution: what becomes of it, and the text of its answer while it is made.

A door that serves events, a progress report of MCP or a stream of chunks all read here, at any door, and in all ways to
launch. An event's id is a place in the answer: whoever names it as the last one seen goes on from there, with the same
text, however long ago that was. The id proves by a MAC which text came before it, so nothing is stored about readers.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from core import db
from core.db import notifications
from core.db.states import ExecutionState
from core.executions import pieces, views
from core.executions.views import Execution
from core.resources import versions
from core.secrets.vault import vault

BEAT_SECONDS = 2.0

_PURPOSE = "stream.place"
_WAITING: Final = ("held", "queued", "running")
_PLACE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})-([A-Za-z0-9_-]{22})")
_TEXT_CHARACTERS = 16_384


@dataclass(frozen=True, slots=True)
class Progress:
    """It waits for its payment (`held`) or in the queue, or it runs.

    Attributes:
        ahead: how many executions of the same creator begin before it.
    """

    id: str
    row: Execution = field(repr=False)
    state: ExecutionState
    ahead: int


@dataclass(frozen=True, slots=True)
class Delta:
    """The next characters of the answer."""

    id: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reset:
    """The text so far is not the beginning of the answer; its text begins anew.

    It comes where a model closes reasoning that it never opened, and where the reader has seen an earlier round.
    """

    id: str


@dataclass(frozen=True, slots=True)
class Ended:
    """It is over; nothing follows.

    Attributes:
        row: as from `views.read`.
        sha256: hash of the stored answer's `response` in UTF-8, as hexadecimal digits; None without an answer.
    """

    id: str
    row: Execution = field(repr=False)
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing happened for a while. It has no place."""


Event = Progress | Delta | Reset | Ended | Beat


async def watch(
    pool: db.Pool,
    hub: notifications.NotificationHub,
    execution_id: UUID,
    after: str = "",
    *,
    beat_seconds: float = BEAT_SECONDS,
) -> AsyncGenerator[Event]:
    """Yield what happens to an execution until it is over.

    The text comes only if somebody watched before the execution began, and where the version allows it
    (`Version.streams`); without it there are progress and the end. The texts of all deltas since the last reset, one
    after the other, are the answer's `response`.

    Takes the pool: no connection is held while nothing happens. A reader who is slow to take events reads less often,
    and holds no more than a few pieces in memory.

    Args:
        pool: our database.
        hub: receives the notifications of changes.
        execution_id: the execution.
        after: the id of the last event that was seen; what is no place in a text counts as none.
        beat_seconds: how long nothing may happen until a `Beat`.
    """
    key, walk, told = str(execution_id), _Walk(execution_id, after), ("", 0)
    with (
        hub.event(notifications.CHANGED, key) as changed,
        hub.event(notifications.GROWING, key) as woken,
        hub.event(notifications.CHANGED, key, woken),
    ):
        row = await _ask(pool, execution_id)
        while True:
            if walk.turn(row.round):
                yield Reset(walk.id)
            if row.state not in _WAITING:
                break
            progress = row.state, await _count_ahead(pool, row)
            if progress != told:
                told = progress
                yield Progress(walk.id, row, *progress)
            while not changed.is_set():
                woken.clear()
                if row.streamed == "text" and row.state == "running":
                    async for event in _news(pool, row, walk):
                        yield event
                try:
                    await asyncio.wait_for(woken.wait(), beat_seconds)
                except TimeoutError:
                    changed.set()
                    yield Beat()
            changed.clear()
            row = await views.current(pool, execution_id)
    for last in _end(row, walk):
        yield last


def is_end(row: Execution, event_id: str) -> bool:
    """Whether this is the id of the execution's end, after which nothing comes unless it is run again."""
    return row.state not in _WAITING and event_id == _end_id(row)


async def _ask(pool: db.Pool, execution_id: UUID) -> Execution:
    """Read the execution, after asking for its progress and its text if that is not too late."""
    row = await views.current(pool, execution_id)
    if row.streamed is not None or row.state not in ("held", "queued"):
        return row
    async with pool.connection() as conn:
        version = await versions.version(conn, row.version_id)
        await pieces.ask(conn, execution_id, "text" if version.streams else "progress")
    return await views.current(pool, execution_id)


async def _count_ahead(pool: db.Pool, row: Execution) -> int:
    if row.state != "queued":
        return 0
    async with db.autocommit(pool) as conn:
        return await views.count_ahead(conn, row.id)


async def _news(pool: db.Pool, row: Execution, walk: "_Walk") -> AsyncIterator[Event]:
    """Yield the text that was published since."""
    while texts := await pieces.read(pool, row.account_id, row.id, row.round, walk.offset):
        for event in walk.through(texts):
            yield event


def _end(row: Execution, walk: "_Walk") -> Iterator[Event]:
    """Yield the rest of the text, from the stored answer, and the end."""
    response = None
    if row.state == "succeeded" and row.content_deleted_at is None:
        response = str(views.open_result(row)["response"])
    if response is not None and row.streamed == "text":
        if not walk.is_within(response):
            walk.restart()
            yield Reset(walk.id)
        while walk.offset < len(response):
            rest = range(walk.offset, len(response), _TEXT_CHARACTERS)
            yield from walk.through(response[start : start + _TEXT_CHARACTERS] for start in rest)
    yield Ended(_end_id(row), row, None if response is None else hashlib.sha256(response.encode()).hexdigest())


def _end_id(row: Execution) -> str:
    return f"{row.round}-end"


class _Walk:
    """A reader's way through the text of one round, from its beginning.

    Args:
        execution_id: the execution.
        after: the id of the last event that the reader has seen.

    Attributes:
        offset: the characters that came so far, with those that the reader had seen before.
    """

    def __init__(self, execution_id: UUID, after: str) -> None:
        self._execution_id, self._round = execution_id, 0
        self.restart()
        if found := _PLACE.fullmatch(after):
            self._round, self._seen, self._mac = int(found[1]), int(found[2]), found[3]

    def restart(self) -> None:
        """Forget what the reader has seen."""
        self.offset, self._seen, self._mac, self._sha = 0, 0, "", hashlib.sha256()

    def turn(self, round_number: int) -> bool:
        """Go to this round; whether the reader has text of another one."""
        if round_number == self._round:
            return False
        has_text = max(self.offset, self._seen) > 0
        self._round = round_number
        self.restart()
        return has_text

    @property
    def id(self) -> str:
        """The id of this place; of the last one that the reader has seen, until its text has come."""
        if self.offset < self._seen:
            return f"{self._round}-{self._seen}-{self._mac}"
        return f"{self._round}-{self.offset}-{vault().sign(_PURPOSE, self._claim())}"

    def is_within(self, text: str) -> bool:
        """Whether what came so far is the beginning of this text, which is as long as what the reader has seen."""
        begun = hashlib.sha256(text[: self.offset].encode())
        return begun.digest() == self._sha.digest() and len(text) >= max(self.offset, self._seen)

    def through(self, texts: Iterable[str]) -> Iterator[Delta | Reset]:
        """Go on by these texts; yield what the reader has not seen, or that it has seen another text, and stop."""
        for text in texts:
            seen = text[: max(0, self._seen - self.offset)]
            self._go(seen)
            if seen and self.offset == self._seen and not vault().is_signed(_PURPOSE, self._claim(), self._mac):
                self.restart()
                yield Reset(self.id)
                return
            self._go(text[len(seen) :])
            if len(text) > len(seen):
                yield Delta(self.id, text[len(seen) :])

    def _go(self, text: str) -> None:
        self._sha.update(text.encode())
        self.offset += len(text)

    def _claim(self) -> bytes:
        return self._execution_id.bytes + f"{self._round}-{self.offset}-".encode() + self._sha.digest()
