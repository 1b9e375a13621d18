"""`python -m ...` in a tenth of a second: forked from a process that has imported everything once.

What comes of it is a process like any other, with an environment, files, signals and an exit code of its own. Only what
is imported is not imported again; where it matters that Prefect is told about its server before it is imported, start
Python from scratch.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Fork:
    """A running one, to be treated like a `subprocess.Popen`."""

    command: tuple[str, ...]
    process: ForkServerProcess

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.process.pid
        return self.process.pid

    def send_signal(self, number: int) -> None:
        """Nothing happens if it is gone."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """Its exit code, a signal's being negative, or None while it runs."""
        return self.process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code, once it has ended.

        Raises:
            subprocess.TimeoutExpired: if that takes longer.
        """
        self.process.join(seconds)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self.command, seconds or 0)
        return code


def start(
    *command: str,
    environment: Mapping[str, str],
    output: Path,
    errors: Path | None = None,
    words: Path = Path(os.devnull),
    first: Callable[[], None] | None = None,
) -> Fork:
    """Begin `python -m command...`.

    Args:
        command: a module and its arguments.
        environment: all of its environment variables.
        output: what it prints is added there.
        errors: what it prints to standard error is added there, if not to `output`.
        words: its standard input.
        first: called in the new process before the module is; of a module that both can import.
    """
    CONTEXT.set_forkserver_preload(["tests.preloaded"])
    files = (words, output, errors or output)
    process = CONTEXT.Process(target=_become, args=(command, dict(environment), files, first), daemon=True)
    process.start()
    return Fork(command, process)


def run(
    *command: str,
    environment: Mapping[str, str],
    words: str = "",
    seconds: float = 60,
    first: Callable[[], None] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run `python -m command...` to its end.

    Args:
        command: a module and its arguments.
        environment: all of its environment variables.
        words: what it reads from standard input.
        seconds: how long it may take.
        first: as for `start`.

    Raises:
        subprocess.TimeoutExpired: if it takes longer.
    """
    with tempfile.TemporaryDirectory(prefix="instant-fork-") as folder:
        said, out, err = (Path(folder) / name for name in ("in", "out", "err"))
        said.write_text(words)
        fork = start(*command, environment=environment, output=out, errors=err, words=said, first=first)
        try:
            code = fork.wait(seconds)
        finally:
            fork.kill()
        return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())


def _become(
    command: tuple[str, ...],
    environment: dict[str, str],
    files: tuple[Path, Path, Path],
    first: Callable[[], None] | None,
) -> None:
    """What the interpreter does for `python -m`, and with the environment what importing has done with another one."""
    os.environ.clear()
    os.environ |= environment
    for descriptor, file in enumerate(files):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND if descriptor else os.O_RDONLY)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin = open(0)  # noqa: SIM115 - for as long as the process lives
    if "PREFECT_HOME" in environment:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
    if first:
        first()
    module, *_ = sys.argv = list(command)
    sys.modules.pop(module, None)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
