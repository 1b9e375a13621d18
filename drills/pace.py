"""How slow this machine is just now: a drill waits longer on a slow one, and does not take overload for a fault."""

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import mean, median

from tests import shops

# A fixed piece of work, and the seconds that it takes on the machine that the drills' times are made for.
_WORK = range(860_000)
_QUIET_SECONDS = 0.010

_LOOK_SECONDS = 2.0
_REMEMBERED = 8

MOST = 5.0
"""Patience grows with slowness up to here; what is not done on a machine that is slower still says nothing."""


class Overloaded(Exception):
    """The machine is too slow for a verdict."""


@dataclass
class Pace:
    """What was measured: each number says how many times longer the work took than on a quiet machine.

    Attributes:
        recent: the last few.
        every: since the drill began.
        measured_at: on the clock of `time.monotonic`.
    """

    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    every: list[float] = field(default_factory=list)
    measured_at: float = float("-inf")

    def slowness(self) -> float:
        """How many times slower than a quiet machine this one is, at least 1; measured at most every two seconds."""
        if time.monotonic() - self.measured_at > _LOOK_SECONDS:
            began = time.perf_counter()
            sum(_WORK)
            factor = max(1.0, (time.perf_counter() - began) / _QUIET_SECONDS)
            self.recent.append(factor)
            self.every.append(factor)
            self.measured_at = time.monotonic()
        return mean(self.recent)

    def told(self) -> dict[str, float]:
        """For the line of JSON."""
        self.slowness()
        return {"median": round(median(self.every), 1), "most": round(max(self.every), 1), "load": os.getloadavg()[0]}


MACHINE = Pace()
"""This one, since the drill began."""


class Patience:
    """So many seconds of a quiet machine: one that is twice as slow has twice as many, up to MOST times.

    Args:
        seconds: from now on.
        machine: how slow it is.
    """

    def __init__(self, seconds: float, machine: Pace = MACHINE) -> None:
        self._seconds = self._left = seconds
        self.machine = machine
        self._began = self._looked_at = time.monotonic()

    def left(self) -> float:
        """Seconds that are left as slow as the machine is just now; below 0 when it is over."""
        now, factor = time.monotonic(), min(self.machine.slowness(), MOST)
        self._left -= (now - self._looked_at) / factor
        self._looked_at = now
        return self._left * factor

    def is_over(self) -> bool:
        """Whether it is over.

        Raises:
            Overloaded: it is, and the machine is slower than MOST.
        """
        if self.left() > 0:
            return False
        if self.machine.slowness() > MOST:
            raise Overloaded(str(self))
        return True

    def __str__(self) -> str:
        took = time.monotonic() - self._began
        factor = self.machine.slowness()
        return f"{took:.0f} s did not do for {self._seconds:g} s of a quiet machine; this is {factor:.1f} times slower"


@asynccontextmanager
async def patience(seconds: float, *, look: float = _LOOK_SECONDS, machine: Pace = MACHINE) -> AsyncIterator[None]:
    """Bound a block.

    Args:
        seconds: of a quiet machine.
        look: seconds between two looks at how slow this one is.
        machine: how slow it is.

    Raises:
        TimeoutError: it took longer.
        Overloaded: it took longer, and the machine is slower than MOST.
    """
    waiting = Patience(seconds, machine)
    try:
        async with asyncio.timeout(waiting.left()) as bound:
            watching = asyncio.create_task(_extend(bound, waiting, look))
            try:
                yield
            finally:
                watching.cancel()
    except TimeoutError:
        if not bound.expired():
            raise
    else:
        return
    if machine.slowness() > MOST:
        raise Overloaded(str(waiting))
    raise TimeoutError(str(waiting))


async def _extend(bound: asyncio.Timeout, waiting: Patience, look: float) -> None:
    """Move the end of a block as the machine gets slower or faster."""
    while True:
        await asyncio.sleep(look)
        if bound.expired():
            return
        bound.reschedule(asyncio.get_running_loop().time() + waiting.left())


async def eventually(true: Callable[[], Awaitable[bool]], seconds: float, pause: float = 0.05) -> None:
    """Wait for what nobody announces, with patience.

    Args:
        true: whether it is there.
        seconds: of a quiet machine.
        pause: seconds between two looks.

    Raises:
        TimeoutError: it is not there in time.
        Overloaded: it is not, and the machine was slower than MOST.
    """
    async with patience(seconds):
        await shops.eventually(true, seconds * MOST + _LOOK_SECONDS, pause)
