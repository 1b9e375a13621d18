"""Doors and executors that a drill starts and kills by the dozen, while it does other things."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drills.boundary import Boundary, Plan, Side, watch
from tests import doors, forks


@dataclass(frozen=True)
class Watched:
    """A door that counts its boundaries, and may die at one."""

    door: doors.Door
    plan: Plan

    def arm(self) -> None:
        """Count from now on."""
        self.plan.armed.set()

    async def ended(self, seconds: float) -> bool:
        """Whether it is dead within that time."""
        try:
            await asyncio.to_thread(self.door.process.wait, seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def passed(self) -> list[Boundary]:
        """The boundaries that it has passed, in order."""
        passed = []
        while not self.plan.passed.empty():
            passed.append(self.plan.passed.get())
        return passed


@asynccontextmanager
async def watched(
    port: int, folder: Path, changes: Mapping[str, str], victim: tuple[Boundary, Side] | None
) -> AsyncIterator[Watched]:
    """A door that tells its boundaries, and is killed at the victim.

    Args:
        port: where it listens.
        folder: where its output is kept.
        changes: environment variables that differ.
        victim: where it shall be killed, and on which side.
    """
    plan = Plan(forks.CONTEXT.Event(), forks.CONTEXT.SimpleQueue(), victim)
    async with calm(port, folder, changes, plan) as door:
        yield Watched(door, plan)


@asynccontextmanager
async def calm(
    port: int, folder: Path, changes: Mapping[str, str], plan: Plan | None = None
) -> AsyncIterator[doors.Door]:
    """The door as it is, or with a plan; killed at the end of the block."""
    opening = doors.door(folder, port, partial(watch, plan) if plan else None, **changes)
    # It waits until the door is open, and the first one until everything is imported.
    door = await asyncio.to_thread(opening.__enter__)
    try:
        yield door
    finally:
        await asyncio.to_thread(door.kill)
        await asyncio.to_thread(opening.__exit__, None, None, None)


@asynccontextmanager
async def executor(output: Path, changes: Mapping[str, str]) -> AsyncIterator[forks.Fork]:
    """An `instant executor` as it is, which tells nobody that it is ready; killed at the end of the block."""
    environment = os.environ | changes
    process = await asyncio.to_thread(forks.start, "cli", "executor", environment=environment, output=output)
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
