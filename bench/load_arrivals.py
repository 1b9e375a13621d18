"""Make arrivals at the times of a Poisson process, independent of earlier ones, and measure their lateness."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field


def schedule(rate: float, seconds: float, seed: int = 1) -> list[float]:
    """Return the arrival times in seconds from the beginning; the same arguments give the same times."""
    dice, now, times = random.Random(f"{seed} {rate} {seconds}"), 0.0, list[float]()
    while (now := now + dice.expovariate(rate)) < seconds:
        times.append(now)
    return times or [0.0]


@dataclass
class Punctuality:
    """The lateness of arrivals, in seconds."""

    late: list[float] = field(default_factory=list)

    @property
    def p99_ms(self) -> float:
        """The 99th percentile of the lateness, in milliseconds."""
        return sorted(self.late)[int(0.99 * (len(self.late) - 1))] * 1000


async def arrive(times: Iterable[float], come: Callable[[int], Awaitable[None]]) -> Punctuality:
    """Start arrival number `n` at its time, whatever the earlier ones do, and wait until all have ended.

    Args:
        times: the times from `schedule`.
        come: runs one arrival.
    """
    began, punctuality = time.perf_counter(), Punctuality()

    async def one(number: int, at: float) -> None:
        punctuality.late.append(time.perf_counter() - began - at)
        await come(number)

    async with asyncio.TaskGroup() as group:
        for number, at in enumerate(times):
            if (wait := began + at - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(one(number, at))
    return punctuality
