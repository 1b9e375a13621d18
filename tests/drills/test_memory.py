"""A planted leak is found, and warming up does not count as one."""

import asyncio
import os

from drills.memory import Memory


def memory(*mebibytes: int) -> Memory:
    """Samples spread evenly over the work."""
    found = Memory()
    found.samples["door"] = [(number / (len(mebibytes) - 1), size * 2**20) for number, size in enumerate(mebibytes)]
    return found


def test_flat() -> None:
    """Memory for warming up, and a peak in between, are no growth."""
    assert memory(50, 90, 100, 100, 180, 180, 101, 100, 102, 101).grown() == []


def test_leak() -> None:
    """A steady leak is found and reported."""
    (found,) = memory(*range(100, 200, 5)).grown()

    assert "door" in found


def test_shrinking() -> None:
    """Shrinking memory is no fault."""
    assert memory(*range(200, 100, -5)).grown() == []


async def test_watch() -> None:
    """A process that allocates memory is measured to do so."""
    found, taken, done = Memory(), bytearray(), 0.0

    def look() -> float:
        nonlocal done
        now, done = done, min(1.0, done + 0.25)
        if now >= 0.5:
            taken.extend(os.urandom(2**20) * 64)
        if now == 1:
            enough.set()
        return now

    enough = asyncio.Event()
    watching = asyncio.create_task(found.watch({"me": os.getpid()}, look, 0.01))
    await enough.wait()
    watching.cancel()

    sizes = [rss for _, rss in found.samples["me"]]
    assert sizes[-1] > sizes[0] + 64 * 2**20
