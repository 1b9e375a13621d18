"""Run child processes: each in its own group, logging to a file, watched, and ended whenever this process ends."""

import asyncio
import ctypes
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from core.failures import Failure
from deployments.ports import answers

READY_SECONDS = 90
"""How long a child may take to answer; Prefect's first migrations take longest."""

GRACE_SECONDS = 40
"""Time between SIGTERM and SIGKILL, in which the door finishes its settlements and calls."""

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Died(Failure):
    """A child that should run has ended, or does not answer. The sentence names it and shows its log's last lines."""


@dataclass(frozen=True, eq=False)
class Child:
    """One process.

    Attributes:
        log: the file for its output; None: our own output.
        is_foundation: other children depend on it, so it ends after them.
    """

    name: str
    process: asyncio.subprocess.Process
    log: Path | None
    is_foundation: bool


class Children:
    """The processes of one run; leaving the `async with` ends all of them.

    Args:
        logs: folder for `NAME.log`; the previous run's log is kept as `NAME.log.old`.
        cwd: their working directory.
    """

    def __init__(self, logs: Path, cwd: Path) -> None:
        self._logs = logs
        self._cwd = cwd
        self._children: list[Child] = []
        self._watchers: list[asyncio.Task[None]] = []
        self.died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails with `Died` when a child ends that should run."""

    async def __aenter__(self) -> Self:
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        for is_foundation in (False, True):
            await asyncio.gather(*(_end(child) for child in self._children if child.is_foundation is is_foundation))
        if self.died.done():
            self.died.exception()  # seen, so that asyncio does not report it a second time
        else:
            self.died.cancel()

    async def start(self, name: str, *command: str, environment: dict[str, str], is_foundation: bool = False) -> Child:
        """Start a process that should run until we end it."""
        child = await self._spawn(name, command, environment, self._logs / f"{name}.log", is_foundation)
        self._watchers.append(asyncio.create_task(self._watch(child)))
        return child

    async def run(self, name: str, *command: str, environment: dict[str, str], shown: bool = False) -> None:
        """Run a process to its end.

        Args:
            shown: send its output to ours, which then shows its errors.

        Raises:
            Died: it failed.
        """
        log = None if shown else self._logs / f"{name}.log"
        child = await self._spawn(name, command, environment, log, False)
        if await child.process.wait():
            raise Died(_sentence(child))

    async def ready(self, child: Child, url: str) -> None:
        """Wait until `url` answers.

        Raises:
            Died: the child ended first, or takes too long.
        """
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await answers(url):
                    if child.process.returncode is not None:
                        raise Died(_sentence(child))
                    await asyncio.sleep(0.05)
                return
        except TimeoutError:
            pass
        raise Died(f"{child.name} does not answer at {url} after {READY_SECONDS} s{_tail(child.log)}")

    async def _spawn(
        self, name: str, command: tuple[str, ...], environment: dict[str, str], log: Path | None, is_foundation: bool
    ) -> Child:
        output = None
        if log is not None:
            output = _open_log(log)
        parent = os.getpid()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output and asyncio.subprocess.STDOUT,
                env=environment,
                cwd=self._cwd,
                start_new_session=True,
                preexec_fn=lambda: _end_with(parent),
            )
        finally:
            if output is not None:
                os.close(output)
        child = Child(name, process, log, is_foundation)
        self._children.append(child)
        return child

    async def _watch(self, child: Child) -> None:
        await child.process.wait()
        if not self.died.done():
            self.died.set_exception(Died(_sentence(child)))


def _end_with(parent: int) -> None:
    """Ask the kernel to end this process when its parent dies, even by SIGKILL.

    The alternative, a pipe that children watch, needs code inside each of them, and Prefect's server is not ours.
    The signal follows the thread that forked, so we fork on the main one. Only Linux has this call; elsewhere
    `kill -9` of the parent leaves its children running.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # the parent died before the call
            os._exit(1)


async def _end(child: Child) -> None:
    if child.process.returncode is None:
        _signal(child, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await child.process.wait()
    _signal(child, signal.SIGKILL)  # the child, or the rest of its group
    await child.process.wait()


def _signal(child: Child, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.process.pid, number)


def _open_log(log: Path) -> int:
    if log.exists():
        log.replace(log.with_suffix(".log.old"))
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def _sentence(child: Child) -> str:
    code = child.process.returncode
    ending = (
        f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with code {code}"
    )
    return f"{child.name} {ending}{_tail(child.log)}"


def _tail(log: Path | None) -> str:
    if log is None:
        return ""
    lines = log.read_text(errors="replace").splitlines()[-12:]
    return "; the last lines of {}:\n{}".format(log, "\n".join(f"  {line}" for line in lines) or "  (empty)")
