"""Group commit: items that are added while a transaction runs are committed together in the next one.

A single item gets a transaction of its own and does not wait. In a burst, one transaction, one round trip of each
statement and one wait for each lock serve many items. Batched reads gain as much.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import psycopg

from core.db.pool import UNREACHABLE, Connection, Pool
from core.db.single_flight import SingleFlight
from core.failures import Failure

Item = TypeVar("Item")
Made = TypeVar("Made")
Write = Callable[[Connection, Sequence[Item]], Awaitable[Sequence[Made]]]
Commit = Callable[[Pool, Callable[[Connection], Awaitable[Sequence[Made]]]], Awaitable[Sequence[Made]]]


@dataclass(slots=True)
class _Place(Generic[Item, Made]):
    """One queued item, and its result once it is committed."""

    item: Item
    made: list[Made] = field(default_factory=list)


class _Queue(Generic[Item, Made]):
    """The waiting items of one event loop."""

    def __init__(self) -> None:
        self.places: list[_Place[Item, Made]] = []
        self.together: SingleFlight[None, None] = SingleFlight()


class BatchWriter(Generic[Item, Made]):
    """Batch one kind of write or read.

    Args:
        write: writes several items at once and returns their results in the same order.
        commit: gives `write` a connection, and commits when it returns.
    """

    def __init__(self, write: Write[Item, Made], commit: Commit[Made]) -> None:
        self._write = write
        self._commit = commit
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue[Item, Made]] = WeakKeyDictionary()

    async def add(self, pool: Pool, item: Item) -> Made:
        """Write one item. It is committed when this returns, even if the caller is cancelled meanwhile.

        Raises:
            psycopg.Error, Failure: the write of this item failed. If a group fails, each of its items is written in a
                transaction of its own.
        """
        queue = self._queues.setdefault(asyncio.get_running_loop(), _Queue())
        mine: _Place[Item, Made] = _Place(item)
        queue.places.append(mine)
        await queue.together.do(None, lambda: self._flush(pool, queue))
        if not mine.made:
            await self._put(pool, [mine])
        return mine.made[0]

    async def _flush(self, pool: Pool, queue: _Queue[Item, Made]) -> None:
        group, queue.places = queue.places, []
        try:
            await self._put(pool, group)
        except (psycopg.Error, Failure) as error:
            is_away = isinstance(error, UNREACHABLE) and not isinstance(error, psycopg.errors.DeadlockDetected)
            if len(group) == 1 or is_away:
                raise

    async def _put(self, pool: Pool, group: Sequence[_Place[Item, Made]]) -> None:
        items = [place.item for place in group]
        made = await self._commit(pool, lambda conn: self._write(conn, items))
        for place, one in zip(group, made, strict=True):
            place.made.append(one)
