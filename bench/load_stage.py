"""Start the processes for a load: Postgres, Prefect and the practice servers as in `instant dev`, and one launcher."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from secrets import token_hex

import httpx
import psutil
import psycopg

from core.db.migrate import migrate
from core.db.pool import database_url
from core.secrets.vault import new_master_key
from core.settings import settings
from deployments import postgres
from tasks.prefect_adapter import client_environment, server_environment
from tests import servers

POOL = "bench"
"""The Prefect work pool."""

_READY_SECONDS = 90.0
_STOP_SECONDS = 45.0

# Without these limits of the product, which would be measured instead of its speed: one address sends everything here,
# and slow answers make many concurrent calls.
_NO_LIMITS = {
    "INSTANT_ADDRESS_RATE": "1000000/second",
    "INSTANT_PAYER_RATE": "1000000/second",
    "INSTANT_UNDECIDED_LIMIT": "1000000",
    "INSTANT_PROBE_SECONDS": "0",
    "INSTANT_ADDRESS_CONNECTIONS": "10000",
    "INSTANT_CALL_LIMIT": "100000",
}


class NotStarted(Exception):
    """A process has ended or does not answer; the sentence has its last lines."""


LAUNCHERS = {
    "here": ("cli", "api"),
    "executor": ("cli", "executor"),
    "one": ("bench.load_rivals", "one"),
    "pool": ("bench.load_rivals", "pool"),
}
"""The launchers by the command that starts them: the door's own process, an `instant executor`, one flow run per call
(at most eight at once), and one run of a Prefect process pool per call."""


@dataclass(frozen=True)
class Stage:
    """The processes, whose CPU time is measured.

    Attributes:
        folder: holds the state and the output of every process.
        processes: the running processes by name.
    """

    folder: Path
    processes: dict[str, psutil.Process] = field(default_factory=dict)

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds so far of each process with its children, by name."""
        return {name: _cpu(process) for name, process in self.processes.items()}

    def memory_mib(self, *names: str) -> dict[str, float]:
        """Return the resident memory of those of these processes that run, by name."""
        running = [name for name in names if name in self.processes]
        return {name: round(self.processes[name].memory_info().rss / 2**20, 1) for name in running}

    def is_calm(self, *names: str, seconds: float = 0.5, share: float = 0.1) -> bool:
        """Whether these processes are nearly idle, over a period of observation."""
        before = sum(self.cpu()[name] for name in names)
        time.sleep(seconds)
        return sum(self.cpu()[name] for name in names) - before < share * seconds

    @contextmanager
    def running(self, name: str, *command: str, environment: Mapping[str, str]) -> Iterator[psutil.Process]:
        """Run a process until the block ends; its output goes to `NAME.log`."""
        with (self.folder / f"{name}.log").open("ab") as log:
            started = subprocess.Popen(command, env=dict(environment), stdout=log, stderr=log)  # noqa: S603
        self.processes[name] = psutil.Process(started.pid)
        try:
            yield self.processes[name]
        finally:
            del self.processes[name]
            started.terminate()
            try:
                started.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()

    def said(self, name: str) -> str:
        """Return the last lines that a process printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]


@contextmanager
def stage() -> Iterator[Stage]:
    """Start everything but a launcher, independent of this machine's settings; the environment gets its URLs."""
    for name in [name for name in os.environ if name.startswith(("INSTANT_", "PREFECT_", "OPENAI_"))]:
        if not name.startswith("INSTANT_BENCH_"):
            del os.environ[name]
    with ExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(prefix="instant-bench-", ignore_cleanup_errors=True))
        here = Stage(Path(made))
        os.environ |= {
            "INSTANT_MODE": "sandbox",
            "INSTANT_STATE_DIR": made,
            "INSTANT_MASTER_KEYS": new_master_key("bench"),
            "INSTANT_PREFECT_AUTH_STRING": f"instant:{token_hex(16)}",
            **{
                f"INSTANT_{name}PORT": str(servers.free_port())
                for name in ("", "OPENROUTER_", "FACILITATOR_", "PREFECT_")
            },
            **_NO_LIMITS,
        }
        embedded = stack.enter_context(postgres.running(here.folder))
        os.environ |= embedded.environment()
        settings.cache_clear()
        config = settings()
        os.environ |= client_environment(config)
        here.processes["postgres"] = psutil.Process(
            int((here.folder / "postgres" / "postmaster.pid").read_text().split()[0])
        )
        migrate(embedded.owner, "sandbox")
        facilitator, book = config.networks[0].facilitator_url, str(here.folder / "book.sqlite")
        for name, module, environment, url in (
            (
                "prefect",
                ["deployments.prefect_process"],
                server_environment(config),
                f"{config.prefect_api_url}/health",
            ),
            (
                "openrouter",
                ["sandbox.openrouter", "--port", str(config.openrouter_port)],
                {},
                f"{config.openrouter_url}/models",
            ),
            (
                "facilitator",
                ["sandbox.facilitator", "--port", str(config.facilitator_port), "--book", book],
                {},
                f"{facilitator}/supported",
            ),
        ):
            stack.enter_context(here.running(name, *python(*module), environment=os.environ | environment))
            _wait(here, name, partial(_answers, url))
        yield here


@contextmanager
def launcher(on: Stage, kind: str, *, door: bool = False) -> Iterator[None]:
    """Start one of `LAUNCHERS` as the process `ours`, and wait until it is ready.

    Args:
        on: the other processes.
        kind: its name.
        door: with a door, even if that is another process.
    """
    environment = os.environ | {"INSTANT_LAUNCH": "executor" if kind == "executor" else "here"}
    if kind in ("one", "pool"):
        # Otherwise a run would also take executions that were queued since it was started.
        environment["INSTANT_BATCH_LIMIT"] = "1"
    with ExitStack() as stack:
        stack.enter_context(on.running("ours", *python(*LAUNCHERS[kind]), environment=environment))
        if kind == "pool":
            worker = ["prefect", "worker", "start", "--pool", POOL, "--type", "process"]
            stack.enter_context(on.running("worker", *python(*worker), environment=environment))
        _wait(on, "ours", _is_launching)
        if door:
            if kind != "here":
                stack.enter_context(on.running("door", *python("cli", "api"), environment=environment))
            _wait(on, "ours" if kind == "here" else "door", partial(_answers, f"{settings().public_url}/health/ready"))
        yield
    with psycopg.connect(database_url(settings()), autocommit=True) as conn:
        conn.execute("UPDATE workers SET stopped_at = now() WHERE stopped_at IS NULL")


@contextmanager
def serving(on: Stage, *command: str, url: str) -> Iterator[None]:
    """Start a contestant without a launcher as the process `ours`, and wait until this URL answers."""
    with on.running("ours", *command, environment=os.environ):
        _wait(on, "ours", partial(_answers, url))
        yield


def python(*module: str) -> list[str]:
    """Build the command `python -m module...`."""
    return [sys.executable, "-m", *module]


def _is_launching() -> bool:
    with psycopg.connect(database_url(settings()), autocommit=True) as conn:
        found = conn.execute("SELECT count(*) FROM workers WHERE kind = 'executor' AND stopped_at IS NULL").fetchone()
    return bool(found and found[0])


def _answers(url: str) -> bool:
    # Prefect's health endpoint answers only with the login.
    user, _, password = os.environ["INSTANT_PREFECT_AUTH_STRING"].partition(":")
    try:
        return httpx.get(url, auth=(user, password), trust_env=False, timeout=5, verify=servers.TLS).is_success
    except httpx.TransportError:
        return False


def _wait(on: Stage, name: str, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not is_ready():
        if (
            not on.processes[name].is_running()
            or on.processes[name].status() == psutil.STATUS_ZOMBIE
            or time.monotonic() > deadline
        ):
            raise NotStarted(f"{name} does not start:\n{on.said(name)}")
        time.sleep(0.05)


def _cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of a process, its children, and its children that have ended."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += sum(one.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total
