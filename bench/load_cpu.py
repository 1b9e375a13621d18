"""Measure the CPU time of a load by process, including its after-effects."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.load_stage import Stage

MEASURED = ("ours", "door", "worker", "prefect", "postgres")
"""The measured processes; the provider, the facilitator and the buyers are left out."""

_CALM_SECONDS = 15.0


@asynccontextmanager
async def metered(on: Stage) -> AsyncIterator[dict[str, float]]:
    """Measure CPU seconds by process. They are known after the block, when the processes are idle again.

    Prefect does much of its work later, and that is part of a call's cost.
    """
    await asyncio.to_thread(_calm, on)
    before, used = on.cpu(), dict[str, float]()
    yield used
    await asyncio.to_thread(_calm, on)
    used |= {name: spent - before[name] for name, spent in on.cpu().items() if name in MEASURED and name in before}


def per_call(used: dict[str, float], calls: int) -> dict[str, float]:
    """Convert to milliseconds per call."""
    return {name: round(1000 * used[name] / max(1, calls), 1) for name in MEASURED if name in used}


def _calm(on: Stage) -> None:
    deadline = time.monotonic() + _CALM_SECONDS
    while not on.is_calm("prefect", "ours") and time.monotonic() < deadline:
        pass
