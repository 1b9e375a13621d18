"""Ask the same question once for all callers that have it at the moment."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class SingleFlight(Generic[Key, Answer]):
    """Questions with a key each; no question is asked twice at the same time.

    A caller that arrives while its question is being asked joins the next asking, so no caller gets data that was read
    before its call. One answer serves many callers, and nothing is cached that could be out of date.
    """

    def __init__(self) -> None:
        self._next: dict[Key, asyncio.Task[Answer]] = {}
        self._now: dict[Key, asyncio.Task[Answer]] = {}

    async def do(self, key: Key, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer to a question that is asked after this call.

        Args:
            key: whoever comes with the same means the same question.
            question: what it raises is raised for all who wait for it.
        """
        if key not in self._next:
            self._next[key] = asyncio.create_task(self._ask(key, question, self._now.get(key)))
        # Whoever hangs up leaves the others their answer.
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
