"""The front door as a process that can be killed."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests import forks, servers


@dataclass(frozen=True)
class Door:
    """A running door: where it is, and where everything that it prints goes."""

    url: str
    process: forks.Fork
    output: Path

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait()


@contextmanager
def door(
    folder: Path, port: int | None = None, first: Callable[[], None] | None = None, **changes: str
) -> Iterator[Door]:
    """`instant api`, on the surroundings that the environment names.

    Args:
        folder: where its output is kept.
        port: default INSTANT_PORT.
        first: what the new process calls before it becomes a door.
        changes: environment variables that differ.
    """
    port = port or int(os.environ["INSTANT_PORT"])
    url = f"http://127.0.0.1:{port}"
    output = folder / f"door-{port}.log"
    environment = os.environ | {"INSTANT_PORT": str(port)} | changes
    with servers.serving(
        *("cli", "api"),
        ready=f"{url}/health/ready",
        environment=environment,
        output=output,
        first=partial(meet_prefect, first),
    ) as process:
        yield Door(url, process, output)


def meet_prefect(first: Callable[[], None] | None = None) -> None:
    """A command tells Prefect where its server is before importing it: in a fork that is too late to be heard."""
    from prefect.context import refresh_global_settings_context

    from cli.shared import meet_prefect as meet
    from core.settings import load

    meet(load())
    refresh_global_settings_context()
    if first:
        first()
