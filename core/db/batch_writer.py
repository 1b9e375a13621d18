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

Item = TypeVar("Item")
Result = TypeVar("Result")
Write = Callable[[Connection, Sequence[Item]], Awaitable[Sequence[Result]]]
Commit = Callable[[Pool, Callable[[Connection], Awaitable[Sequence[Result]]]], Awaitable[Sequence[Result]]]


@dataclass(slots=True)
class _Entry(Generic[Item, Result]):
    """One queued item, and its result once it is committed."""

    item: Item
    result: list[Result] = field(default_factory=list)


class _Queue(Generic[Item, Result]):
    """The waiting items of one event loop."""

    def __init__(self) -> None:
        self.entries: list[_Entry[Item, Result]] = []
        self.flight: SingleFlight[None, None] = SingleFlight()


class BatchWriter(Generic[Item, Result]):
    """Batch one kind of write or read.

    Args:
        write: writes several items at once and returns their results in the same order.
        commit: gives `write` a connection, and commits when it returns.
    """

    def __init__(self, write: Write[Item, Result], commit: Commit[Result]) -> None:
        self._write = write
        self._commit = commit
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue[Item, Result]] = WeakKeyDictionary()

    async def add(self, pool: Pool, item: Item) -> Result:
        """Write one item. It is committed when this returns, even if the caller is cancelled meanwhile.

        Raises:
            Exception: the write of this item failed, for whatever reason. If a group fails, each of its items is
                written in a transaction of its own, unless the database cannot be reached.
        """
        queue = self._queues.setdefault(asyncio.get_running_loop(), _Queue())
        entry: _Entry[Item, Result] = _Entry(item)
        queue.entries.append(entry)
        await queue.flight.do(None, lambda: self._flush(pool, queue))
        if not entry.result:
            await self._write_entries(pool, [entry])
        return entry.result[0]

    async def _flush(self, pool: Pool, queue: _Queue[Item, Result]) -> None:
        group, queue.entries = queue.entries, []
        try:
            await self._write_entries(pool, group)
        except Exception as error:
            # Whatever one item raises must not reach the callers of the others. Nothing is lost: each item is now
            # written alone, and its own caller gets what it raises.
            is_unreachable = isinstance(error, UNREACHABLE) and not isinstance(error, psycopg.errors.DeadlockDetected)
            if len(group) == 1 or is_unreachable:
                raise

    async def _write_entries(self, pool: Pool, group: Sequence[_Entry[Item, Result]]) -> None:
        items = [entry.item for entry in group]
        results = await self._commit(pool, lambda conn: self._write(conn, items))
        for entry, result in zip(group, results, strict=True):
            entry.result.append(result)
