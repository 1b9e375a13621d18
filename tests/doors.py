"""The front door as a process that can be killed."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import servers


@dataclass(frozen=True)
class Door:
    """A running door: where it is, and where everything that it prints goes."""

    url: str
    process: subprocess.Popen[bytes]
    output: Path

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def door(folder: Path, port: int | None = None, **changes: str) -> Iterator[Door]:
    """`instant api`, on the surroundings that the environment names.

    Args:
        folder: where its output is kept.
        port: default INSTANT_PORT.
        changes: environment variables that differ.
    """
    port = port or int(os.environ["INSTANT_PORT"])
    url = f"http://127.0.0.1:{port}"
    output = folder / f"door-{port}.log"
    environment = os.environ | {"INSTANT_PORT": str(port)} | changes
    with servers.serving("cli", "api", ready=f"{url}/health/ready", environment=environment, output=output) as process:
        yield Door(url, process, output)
