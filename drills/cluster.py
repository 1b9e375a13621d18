"""Doors and executors on three hosts, one of which is slow, and one of which has a clock that is ahead; and Prefect."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from core.settings import settings
from drills import doors
from drills.market import Market, market
from drills.network import Host, Network, from_host, to_host
from drills.network import why_not as network_lacks
from drills.surroundings import Surroundings
from tasks.prefect_adapter import server_environment
from tests import servers

AHEAD_SECONDS = 90

_SLOW_SECONDS = 0.1  # each way, so 0.2 for a request and its reply
_START_SECONDS = 240  # Prefect's server migrates its database first


@dataclass(frozen=True)
class Cluster:
    """What runs where.

    Attributes:
        market: the way to both doors.
        hosts: the plain one, the slow one, and the one with the false clock.
        ports: of the doors on the first and the last.
        changes: what is special in the environment of doors and executors.
        folder: for what they print.
        processes: ends them.
        pids: their process ids, by name.
    """

    market: Market
    hosts: Sequence[Host]
    ports: Sequence[int]
    changes: Mapping[str, str]
    folder: Path
    processes: AsyncExitStack
    pids: dict[str, int]

    async def start(self) -> None:
        """Start two doors and three executors."""
        plain, slow, ahead = self.hosts
        opened = doors.calm(self.ports[0], self.folder, self.changes, first=plain.enter)
        self.pids["door-plain"] = (await self.processes.enter_async_context(opened)).process.pid
        for host in (plain, slow):
            started = doors.executor(self.folder / f"executor-{host.name}.log", self.changes, host.enter)
            self.pids[f"executor-{host.name}"] = (await self.processes.enter_async_context(started)).pid
        # From scratch, because a library can only be preloaded by a new program.
        environment = os.environ | self.changes | false_clock()
        environment["INSTANT_PORT"] = str(self.ports[1])
        ready = f"http://127.0.0.1:{self.ports[1]}/health/ready"
        for name, command in (("door", "api"), ("executor", "executor")):
            output = self.folder / f"{name}-{ahead.name}.log"
            running = _running(
                self.processes, ahead, "cli", command, ready=ready, environment=environment, output=output
            )
            self.pids[f"{name}-{ahead.name}"] = await running

    async def restart(self) -> None:
        """End all of them with SIGKILL, or SIGTERM where the clock is false, and start them again."""
        await self.processes.aclose()
        await self.start()


def why_not() -> str | None:
    """Say what this machine lacks for the drill; None if nothing."""
    if lacking := network_lacks():
        return lacking
    return None if list(_libraries()) else "libfaketime is not installed (Debian's package libfaketime)"


@asynccontextmanager
async def cluster(around: Surroundings, joined: Network, database_url: str) -> AsyncIterator[Cluster]:
    """Start Prefect, and doors and executors on three hosts."""
    config = settings()
    prefect = joined.add("prefect")
    hosts = [joined.add("plain"), joined.add("slow", delay=_SLOW_SECONDS), joined.add("ahead")]
    api = f"http://{prefect.address}:{config.prefect_port}/api"
    ports = [servers.free_port() for _ in range(2)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    changes = {
        "INSTANT_DATABASE_URL": database_url,
        "INSTANT_PREFECT_API_URL": api,
        "PREFECT_API_URL": api,
        "INSTANT_PUBLIC_URL": urls[0],
    }
    async with AsyncExitStack() as stack:
        for host in hosts:
            for port in (config.openrouter_port, config.facilitator_port):
                await from_host(stack, host, port)
        await to_host(stack, prefect, config.prefect_port, prefect.address)
        for host, port in zip((hosts[0], hosts[2]), ports, strict=True):
            await to_host(stack, host, port)
        served = os.environ | server_environment(config) | {"PREFECT_SERVER_API_HOST": prefect.address}
        await _running(stack, prefect, "deployments.prefect_process", ready=f"{api}/health", environment=served)
        place = await stack.enter_async_context(market(*urls))
        processes = await stack.enter_async_context(AsyncExitStack())
        made = Cluster(place, hosts, ports, changes, around.folder, processes, {})
        await made.start()
        yield made


def _libraries() -> Iterator[Path]:
    return Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")


def false_clock() -> dict[str, str]:
    """The environment of a process whose time of day is ahead. What is measured by a stopwatch stays true."""
    library, *_ = _libraries()
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"+{AHEAD_SECONDS}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


async def _running(
    stack: AsyncExitStack,
    host: Host,
    *module: str,
    ready: str,
    environment: Mapping[str, str],
    output: Path | None = None,
) -> int:
    """Run a module on a host until the stack ends, and return its process id."""
    running = servers.running(
        *(sys.executable, "-m", *module),
        ready=ready,
        environment=environment,
        output=output,
        patience_seconds=_START_SECONDS,
    )
    process = await asyncio.to_thread(host.inside, running.__enter__)
    stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
    return int(process.pid)
