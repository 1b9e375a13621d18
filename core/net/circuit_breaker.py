"""A circuit breaker: whoever keeps silent is left alone for a while, then asked by one caller on behalf of all."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Closed until `limit` questions in a row went unanswered; then open, but for one probe every `seconds`.

    There is no state for half-open: letting a probe through only starts the next wait, so that a probe whose caller
    never tells what came of it holds up nobody for longer than that.

    Attributes:
        limit: unanswered questions in a row that open it.
        seconds: how long nobody asks, and how long a probe has before there is another.
        clock: seconds, monotonic.
    """

    limit: int = 5
    seconds: float = 5
    clock: Callable[[], float] = time.monotonic
    _unanswered: int = 0
    _next_probe: float = 0

    @property
    def is_open(self) -> bool:
        """Whether the last `limit` questions went unanswered."""
        return self._unanswered >= self.limit

    def may_ask(self) -> bool:
        """Whether this caller may ask now. While it is open, True makes the caller the probe."""
        if not self.is_open:
            return True
        now = self.clock()
        if now < self._next_probe:
            return False
        self._next_probe = now + self.seconds
        return True

    def hear(self, *, answered: bool) -> None:
        """Take note of one question, also of one that nobody had to be allowed to ask.

        Args:
            answered: whether there was an answer that makes sense, be it a refusal.
        """
        if answered:
            self._unanswered = 0
            return
        self._unanswered += 1
        if self._unanswered == self.limit:
            self._next_probe = self.clock() + self.seconds
