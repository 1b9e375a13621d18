"""A circuit breaker: after repeated failures a server gets no requests for a while, except one probe at a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Closed until `limit` requests in a row failed; then open, except for one probe every `seconds`.

    There is no half-open state: a probe only starts the next wait, so a probe that never reports its result delays
    nobody for longer than that.

    Attributes:
        limit: failed requests in a row that open it.
        seconds: the pause between probes while it is open.
        clock: monotonic seconds.
    """

    limit: int = 5
    seconds: float = 5
    clock: Callable[[], float] = time.monotonic
    _failures: int = 0
    _next_probe: float = 0

    @property
    def is_open(self) -> bool:
        """Whether the last `limit` requests failed."""
        return self._failures >= self.limit

    def may_send(self) -> bool:
        """Whether this caller may send a request now. While the breaker is open, True makes the caller the probe."""
        if not self.is_open:
            return True
        now = self.clock()
        if now < self._next_probe:
            return False
        self._next_probe = now + self.seconds
        return True

    def record(self, *, answered: bool) -> None:
        """Record the result of a request, also of one that did not ask for permission.

        Args:
            answered: whether the server gave a meaningful answer, even a refusal.
        """
        if answered:
            self._failures = 0
            return
        self._failures += 1
        if self._failures == self.limit:
            self._next_probe = self.clock() + self.seconds
