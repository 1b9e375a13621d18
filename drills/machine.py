"""Stop or kill a whole `instant dev` with all its processes, and start it again."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from deployments import postgres
from drills.kept import kill_family
from drills.pace import patience

_START_SECONDS = 120
_STOP_SECONDS = 60
_LOOK_SECONDS = 0.1


@dataclass(eq=False)
class Machine:
    """One `instant dev`, which runs for the duration of the `async with`.

    Attributes:
        folder: its state folder, and the folder for its output.
        environment: its environment.
    """

    folder: Path
    environment: Mapping[str, str]
    _process: "subprocess.Popen[bytes]" = field(init=False)

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await asyncio.to_thread(self._kill)

    @property
    def database(self) -> str:
        """The URL of our database, while it runs.

        Raises:
            RuntimeError: it does not run.
        """
        urls = postgres.find(self.folder)
        if urls is None:
            raise RuntimeError("Postgres does not run")
        return urls.instant

    async def stop(self) -> None:
        """Stop it with Ctrl-C, and start it again."""
        self._process.send_signal(signal.SIGINT)
        await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
        await self._start()

    async def kill(self) -> None:
        """Kill `instant dev`, all its children and Postgres with SIGKILL, as in a power failure; and start again."""
        await asyncio.to_thread(self._kill)
        await self._start()

    def _kill(self) -> None:
        if self._process.poll() is None:
            kill_family(self._process.pid)
            self._process.wait()
        # The pid file may be left from a dead server, and another process may have its number by now.
        if server := postgres.postmaster(self.folder.resolve() / "postgres"):
            kill_family(server.pid)

    async def _start(self) -> None:
        output = self.folder / "dev.log"
        with output.open("wb") as printed:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it is forked in a moment
                [sys.executable, "-m", "cli", "dev"], env=self.environment, stdout=printed, stderr=printed
            )
        async with patience(_START_SECONDS):
            while "Ctrl-C" not in output.read_text():
                if self._process.poll() is not None:
                    raise RuntimeError(f"instant dev does not start: {output.read_text()[-2000:]}")
                await asyncio.sleep(_LOOK_SECONDS)
