"""Arrivals that wait for nobody: at the times of a Poisson process, and told if they were late."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field


def schedule(rate: float, seconds: float, seed: int = 1) -> list[float]:
    """When they arrive, in seconds from the beginning; the same for everybody with the same arguments."""
    dice, now, times = random.Random(f"{seed} {rate} {seconds}"), 0.0, list[float]()
    while (now := now + dice.expovariate(rate)) < seconds:
        times.append(now)
    return times or [0.0]


@dataclass
class Punctuality:
    """How late arrivals were, in seconds."""

    late: list[float] = field(default_factory=list)

    @property
    def p99_ms(self) -> float:
        """Of a hundred, all but one were no later than this."""
        return sorted(self.late)[int(0.99 * (len(self.late) - 1))] * 1000


async def arrive(times: Iterable[float], come: Callable[[int], Awaitable[None]]) -> Punctuality:
    """Let arrival number `n` come at its time, however the earlier ones fare, and wait until all have been dealt with.

    Args:
        times: as by `schedule`.
        come: what an arrival does.
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
