"""Start and kill many doors and executors for a drill, without blocking it."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drills.boundary import Boundary, Plan, Side, watch
from tests import doors, forks


@dataclass(frozen=True)
class Watched:
    """A door that counts its boundaries, and may be killed at one."""

    door: doors.Door
    plan: Plan

    def arm(self) -> None:
        """Count boundaries from now on."""
        self.plan.armed.set()

    async def ended(self, seconds: float) -> bool:
        """Whether it dies within that time."""
        try:
            await asyncio.to_thread(self.door.process.wait, seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def passed(self) -> list[Boundary]:
        """List the boundaries that it has passed, in order."""
        passed = []
        while not self.plan.passed.empty():
            passed.append(self.plan.passed.get())
        return passed


@asynccontextmanager
async def watched(
    port: int, folder: Path, changes: Mapping[str, str], victim: tuple[Boundary, Side] | None
) -> AsyncIterator[Watched]:
    """Run a door that reports its boundaries, and is killed at the victim.

    Args:
        port: its port.
        folder: the folder for its output.
        changes: environment variables that differ.
        victim: the boundary and the side on which to kill it.
    """
    plan = Plan(forks.CONTEXT.Event(), forks.CONTEXT.SimpleQueue(), victim)
    async with calm(port, folder, changes, plan) as door:
        yield Watched(door, plan)


@asynccontextmanager
async def calm(
    port: int,
    folder: Path,
    changes: Mapping[str, str],
    plan: Plan | None = None,
    first: Callable[[], None] | None = None,
) -> AsyncIterator[doors.Door]:
    """Run an ordinary door, or one with a plan, or one that calls `first`; it is killed at the end of the block."""
    opening = doors.door(folder, port, partial(watch, plan) if plan else first, **changes)
    # Opening blocks until the door is open, and the first time until everything is imported.
    door = await asyncio.to_thread(opening.__enter__)
    try:
        yield door
    finally:
        await asyncio.to_thread(door.kill)
        await asyncio.to_thread(opening.__exit__, None, None, None)


@asynccontextmanager
async def executor(
    output: Path, changes: Mapping[str, str], first: Callable[[], None] | None = None
) -> AsyncIterator[forks.Fork]:
    """Run an ordinary `instant executor`, which does not report that it is ready; killed at the end of the block."""
    environment = os.environ | changes
    process = await asyncio.to_thread(
        forks.start, "cli", "executor", environment=environment, output=output, first=first
    )
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
