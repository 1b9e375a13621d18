"""Bound the readers of event streams at one door: each holds a connection, and asks Postgres now and then."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from core.failures import TooManyRequests, Unavailable

# Each asks Postgres at most thirty times a second, and all of one moment together.
_MOST = 500
_MOST_OF_ONE = 8
_WAIT_SECONDS = 5


class Readers:
    """The streams that one door serves now."""

    def __init__(self) -> None:
        self._open: Counter[UUID] = Counter()

    def require_room(self, execution_id: UUID | None = None) -> None:
        """Refuse another reader where there are too many.

        Args:
            execution_id: what it would read; None for one that nobody knows yet.

        Raises:
            Unavailable: the door has too many.
            TooManyRequests: this execution has.
        """
        if self._open.total() >= _MOST:
            raise Unavailable("too_many_streams")
        if execution_id is not None and self._open[execution_id] >= _MOST_OF_ONE:
            raise TooManyRequests(time.time() + _WAIT_SECONDS)

    @contextmanager
    def reading(self, execution_id: UUID) -> Iterator[None]:
        """Count a reader for the duration of the block."""
        self._open[execution_id] += 1
        try:
            yield
        finally:
            self._open[execution_id] -= 1
            if not self._open[execution_id]:
                del self._open[execution_id]
