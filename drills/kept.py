"""Run processes that are killed at any moment and started again, like a supervisor."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

import psutil

from deployments import postgres as embedded
from drills import doors
from drills.pace import patience
from drills.surroundings import Surroundings, serving

_LOOK_SECONDS = 0.1
_AGAIN_SECONDS = 1
_PATIENCE_SECONDS = 90
_GONE_SECONDS = 10


class Process(Protocol):
    """A running process."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def poll(self) -> int | None:
        """None while it runs."""


class Victim(Protocol):
    """A process that can be killed and comes back."""

    @property
    def name(self) -> str:
        """Its name in the count."""

    async def strike(self, pause: float) -> None:
        """Kill it, start it again after so many seconds, and return when it is ready."""


@dataclass(eq=False)
class Kept:
    """One process that runs for the duration of the `async with`, and is killed at its end.

    Attributes:
        name: for the log.
        serving: runs it until the block ends, and then kills it.
        lost: how often it ended, or did not start, without being killed here.
        pid: the current process id.
    """

    name: str
    serving: Callable[[], AbstractAsyncContextManager[Process]]
    lost: int = 0
    pid: int | None = None
    _struck: asyncio.Event = field(default_factory=asyncio.Event)
    _up: asyncio.Event = field(default_factory=asyncio.Event)
    _pause: float = 0

    async def __aenter__(self) -> Self:
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")
        await self._arrived()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._keeper.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeper

    async def strike(self, pause: float = 0) -> None:
        """Kill it with SIGKILL, and return when its successor is ready."""
        self._pause = pause
        self._up.clear()
        self._struck.set()
        await self._arrived()

    async def _arrived(self) -> None:
        async with patience(_PATIENCE_SECONDS):
            await self._up.wait()

    async def _keep(self) -> None:
        while True:
            try:
                async with self.serving() as process:
                    self.pid = process.pid
                    self._up.set()
                    while process.poll() is None and not self._struck.is_set():
                        with suppress(TimeoutError):
                            await asyncio.wait_for(self._struck.wait(), _LOOK_SECONDS)
            except RuntimeError:  # it does not start; a server that it depends on may be down
                self._up.clear()
            if self._struck.is_set():
                self._struck.clear()
                await asyncio.sleep(self._pause)
            else:
                self.lost += 1
                await asyncio.sleep(_AGAIN_SECONDS)


def door(around: Surroundings, number: int, port: int, **changes: str) -> Kept:
    """Run a door that can be killed."""
    name = f"door-{number}"
    return Kept(name, lambda: _door(around.folder, port, changes))


def executor(around: Surroundings, number: int, **changes: str) -> Kept:
    """Run an executor that can be killed."""
    name = f"executor-{number}"
    return Kept(name, lambda: doors.executor(around.folder / f"{name}.log", changes))


def prefect(around: Surroundings) -> Kept:
    """Run Prefect's server, always at the same port and on the same database."""
    return Kept("prefect", lambda: _prefect(around.folder))


@dataclass(frozen=True)
class Postgres:
    """The Postgres server of durable surroundings, which runs already and is left running at the end."""

    folder: Path
    name: str = "postgres"

    async def strike(self, pause: float = 0) -> None:
        """Kill it with SIGKILL, with all its children, and start it again on the same data."""
        await asyncio.to_thread(kill_family, int((self.folder / "postgres" / "postmaster.pid").read_text().split()[0]))
        await asyncio.sleep(pause)
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        # The surroundings use the server too, so leaving the block does not stop it.
        with embedded.running(self.folder):
            pass


@dataclass(frozen=True)
class _Ours:
    """A process by its id, also when it is no longer our child."""

    pid: int

    def poll(self) -> int | None:
        return None if _is_alive(self.pid) else 0


@asynccontextmanager
async def _door(folder: Path, port: int, changes: Mapping[str, str]) -> AsyncIterator[Process]:
    async with doors.calm(port, folder, changes) as door:
        yield door.process


@asynccontextmanager
async def _prefect(folder: Path) -> AsyncIterator[_Ours]:
    with ExitStack() as stack:
        process = await asyncio.to_thread(stack.enter_context, serving(folder, "prefect"))
        try:
            yield _Ours(process.pid)
        finally:
            kill_family(process.pid)


def kill_family(pid: int) -> None:
    """Stop the process first, so that it starts no children while they are listed; then kill all."""
    with suppress(psutil.NoSuchProcess):
        head = psutil.Process(pid)
        head.suspend()
        family = [head, *head.children(recursive=True)]
        for one in family:
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs([one for one in family if _is_alive(one.pid)], _GONE_SECONDS)
        if any(_is_alive(one.pid) for one in alive):
            raise RuntimeError("something survived a SIGKILL")


def _is_alive(pid: int) -> bool:
    """Whether a process is alive; a dead one without a parent that reaps it stays as a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
