"""Share one query between callers that ask for the same data: all at once, or one soon after the other."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class SingleFlight(Generic[Key, Result]):
    """Run at most one query per key at a time.

    A caller that arrives during a query joins the next one, so no caller gets data that was read before its call.
    One query serves many callers, and nothing is cached.
    """

    def __init__(self) -> None:
        self._waiting: dict[Key, asyncio.Task[Result]] = {}
        self._running: dict[Key, asyncio.Task[Result]] = {}

    async def do(self, key: Key, query: Callable[[], Awaitable[Result]]) -> Result:
        """Return the result of a query that starts after this call.

        Args:
            key: callers with the same key share a query.
            query: runs the query. Every waiting caller gets its exception.
        """
        if key not in self._waiting:
            self._waiting[key] = asyncio.create_task(self._run(key, query, self._running.get(key)))
        # `shield`: a cancelled caller does not cancel the query of the others.
        return await asyncio.shield(self._waiting[key])

    async def _run(
        self, key: Key, query: Callable[[], Awaitable[Result]], running: asyncio.Task[Result] | None
    ) -> Result:
        if running:
            await asyncio.wait({running})
        self._running[key] = self._waiting.pop(key)
        try:
            return await query()
        finally:
            del self._running[key]


class Recent(Generic[Key, Result]):
    """Begin a query at most once per key in so many seconds; all who ask meanwhile get the same result or exception.

    Args:
        seconds: how long a result counts, from the beginning of its query. A query that takes longer is joined.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._last: dict[Key, tuple[float, asyncio.Task[Result]]] = {}

    async def get(self, key: Key, query: Callable[[], Coroutine[None, None, Result]]) -> Result:
        """Return the result of the last query, or of one that starts now.

        Args:
            key: callers with the same key share a result. Keys are kept, so they must be few.
            query: runs the query.
        """
        began, task = self._last.get(key, (0.0, None))
        if task is None or (task.done() and self._clock() >= began + self._seconds):
            task = asyncio.create_task(query())
            self._last[key] = self._clock(), task
        # `shield`: a cancelled caller does not cancel the query of the others.
        return await asyncio.shield(task)
