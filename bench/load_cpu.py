"""What a load costs in CPU time, by process, with what follows it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.load_stage import Stage

MEASURED = ("ours", "door", "worker", "prefect", "postgres")
"""The processes that take part; what only plays the world (provider, facilitator, buyers) is left out."""

_CALM_SECONDS = 15.0


@asynccontextmanager
async def metered(on: Stage) -> AsyncIterator[dict[str, float]]:
    """CPU seconds of those that take part, known once the block is left and everybody is calm again.

    Prefect deals with much of what it was told only afterwards, and that is part of what a call costs.
    """
    await asyncio.to_thread(_calm, on)
    before, used = on.cpu(), dict[str, float]()
    yield used
    await asyncio.to_thread(_calm, on)
    used |= {name: spent - before[name] for name, spent in on.cpu().items() if name in MEASURED and name in before}


def per_call(used: dict[str, float], calls: int) -> dict[str, float]:
    """The same in milliseconds for each call."""
    return {name: round(1000 * used[name] / max(1, calls), 1) for name in MEASURED if name in used}


def _calm(on: Stage) -> None:
    deadline = time.monotonic() + _CALM_SECONDS
    while not on.is_calm("prefect", "ours") and time.monotonic() < deadline:
        pass
