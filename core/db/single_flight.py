"""Share one query between concurrent callers that ask for the same data."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class SingleFlight(Generic[Key, Answer]):
    """Run at most one query per key at a time.

    A caller that arrives during a query joins the next one, so no caller gets data that was read before its call.
    One query serves many callers, and nothing is cached.
    """

    def __init__(self) -> None:
        self._next: dict[Key, asyncio.Task[Answer]] = {}
        self._now: dict[Key, asyncio.Task[Answer]] = {}

    async def do(self, key: Key, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the result of a query that starts after this call.

        Args:
            key: callers with the same key share a query.
            question: runs the query. Every waiting caller gets its exception.
        """
        if key not in self._next:
            self._next[key] = asyncio.create_task(self._ask(key, question, self._now.get(key)))
        # `shield`: a cancelled caller does not cancel the query of the others.
        return await asyncio.shield(self._next[key])

    async def _ask(
        self, key: Key, question: Callable[[], Awaitable[Answer]], before: asyncio.Task[Answer] | None
    ) -> Answer:
        if before:
            await asyncio.wait({before})
        self._now[key] = self._next.pop(key)
        try:
            return await question()
        finally:
            del self._now[key]
