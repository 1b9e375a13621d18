"""Doors that a drill starts and kills by the dozen: forked from a process that has imported everything once."""

import asyncio
import multiprocessing
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import httpx

from drills.boundary import Boundary, Plan, Side, watch

_FORKS = multiprocessing.get_context("forkserver")
_IMPORTED_ONCE = ["api.app", "cli.app", "core.db.migrate", "deployments.ports", "drills.doors", "uvicorn"]
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Watched:
    """A door that counts its boundaries, and may die at one."""

    process: ForkServerProcess
    plan: Plan

    def arm(self) -> None:
        """Count from now on."""
        self.plan.armed.set()

    async def ended(self, seconds: float) -> bool:
        """Whether it is dead within that time."""
        await asyncio.to_thread(self.process.join, seconds)
        return not self.process.is_alive()

    def passed(self) -> list[Boundary]:
        """The boundaries that it has passed, in order."""
        passed = []
        while not self.plan.passed.empty():
            passed.append(self.plan.passed.get())
        return passed


@asynccontextmanager
async def watched(
    port: int, output: Path, changes: Mapping[str, str], victim: tuple[Boundary, Side] | None
) -> AsyncIterator[Watched]:
    """A door that tells its boundaries, and is killed at the victim.

    Args:
        port: where it listens.
        output: what it prints is added there.
        changes: environment variables that differ.
        victim: where it shall be killed, and on which side.
    """
    plan = Plan(_FORKS.Event(), _FORKS.SimpleQueue(), victim)
    async with _serving(port, output, changes, plan) as process:
        yield Watched(process, plan)


@asynccontextmanager
async def calm(port: int, output: Path, changes: Mapping[str, str]) -> AsyncIterator[ForkServerProcess]:
    """The door as it is."""
    async with _serving(port, output, changes, None) as process:
        yield process


@asynccontextmanager
async def _serving(
    port: int, output: Path, changes: Mapping[str, str], plan: Plan | None
) -> AsyncIterator[ForkServerProcess]:
    """`instant api` in a process of its own, ready to sell; killed at the end of the block."""
    _FORKS.set_forkserver_preload(_IMPORTED_ONCE)
    process = _FORKS.Process(target=_serve, args=({**changes, "INSTANT_PORT": str(port)}, output, plan))
    # The first one waits until everything is imported.
    await asyncio.to_thread(process.start)
    try:
        await _ready(process, f"http://127.0.0.1:{port}/health/ready")
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.join)


async def _ready(process: ForkServerProcess, url: str) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS), httpx.AsyncClient(trust_env=False) as http:
        while process.is_alive():
            try:
                if (await http.get(url)).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)
    raise RuntimeError("the door does not open")


def _serve(changes: dict[str, str], output: Path, plan: Plan | None) -> None:
    from cli import main

    os.environ |= changes
    printed = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    if plan:
        watch(plan)
    sys.exit(main(["api"]))
