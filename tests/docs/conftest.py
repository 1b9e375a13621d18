"""The places where readers type: a shop that `make demo` started, and an empty machine with a Postgres."""

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import servers
from tests.docs import readers
from tests.docs.pages import Block, blocks

PORTS = {"4020": "INSTANT_PORT", "4021": "INSTANT_OPENROUTER_PORT", "4022": "INSTANT_FACILITATOR_PORT"}
PORTS |= {"4200": "INSTANT_PREFECT_PORT"}
"""The ports that the pages name, and the settings that change them."""

INSTALLING = "Piece by piece, on a Postgres of your own"
"""The section of docs/operators.md that begins on an empty machine."""


@dataclass(frozen=True)
class Machine:
    """A home, its environment, and what stands in the pages for what stands here instead."""

    home: Path
    environment: dict[str, str]
    places: dict[str, str]


def machine_in(home: Path) -> Machine:
    """A machine on ports of its own."""
    home.mkdir(mode=0o711)
    free = {port: str(servers.free_port()) for port in PORTS}
    ports = {PORTS[port]: here for port, here in free.items()} | {"INSTANT_NOTICE_NETWORKS": '["127.0.0.1/32"]'}
    places = {f"{host}:{port}": f"{host}:{here}" for port, here in free.items() for host in ("127.0.0.1", "localhost")}
    return Machine(home, readers.environment_of(home, **ports), places)


@pytest.fixture(scope="session")
def demo(passable_home: Path) -> Iterator[Machine]:
    """A shop, as the first command of README.md starts it."""
    machine = machine_in(passable_home)
    folder = readers.clone(machine.home)
    (command,) = demo_block().commands
    log = machine.home / "demo.log"
    with log.open("w") as printed:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", f"exec {command}"],
            cwd=folder,
            env=machine.environment,
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
    try:
        readers.until(lambda: "Ctrl-C" in log.read_text(), lambda: process.poll() is None, log)
        yield machine
    finally:
        servers.stop(process)


def demo_block() -> Block:
    """The first command that README.md tells a newcomer."""
    return next(block for block in blocks() if block.page == "README.md" and block.language == "sh")


@pytest.fixture(scope="session")
def passable_home() -> Iterator[Path]:
    """Where a home can be made that Postgres's own account may pass through."""
    with tempfile.TemporaryDirectory(prefix="instant-docs-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "home"
