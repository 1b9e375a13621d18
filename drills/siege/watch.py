"""Look at the door during and after a siege: readiness, memory, connections, log, and what was served unpaid."""

import asyncio
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil

from core import db
from core.settings import settings
from drills.siege.grounds import Grounds, client
from tests import shops
from tests.servers import TLS

FILES = 1024
MOST_GROWTH = 1.25
"""Of the door's memory, after the siege over before: the allocator keeps some of it. `drills/soak` finds leaks."""

_OPERATOR = "127.0.5.1"
_LOOK_SECONDS = 1
_REST_SECONDS = 30
_LEVEL_SECONDS = 5
_MIB = 2**20

# What was sold without a payment that has moved, or may still move.
_UNPAID = """
SELECT executions.id, executions.state, payments.state AS payment FROM executions
JOIN payments ON payments.id = executions.payment_id
WHERE payments.state <> 'paid' AND executions.state NOT IN ('held', 'void')
"""
_PAID = "SELECT payer, nonce, amount_atomic FROM payments WHERE state = 'paid'"


def limit_files() -> None:
    """Give this process the file descriptors that a login shell usually gives."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))


@dataclass
class Level:
    """What a door uses when nothing is going on."""

    memory: float
    connections: int

    def told(self) -> dict[str, float]:
        """For the line of JSON."""
        return {"MiB": round(self.memory / _MIB, 1), "connections": self.connections}


async def level(door: psutil.Process, port: int) -> Level:
    """Look for a few seconds."""
    samples = []
    for _ in range(_LEVEL_SECONDS):
        samples.append(door.memory_info().rss)
        await asyncio.sleep(1)
    return Level(median(samples), inbound(door, port))


def inbound(door: psutil.Process, port: int) -> int:
    """How many clients are connected."""
    return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port for one in door.net_connections("tcp"))


async def until_left(door: psutil.Process, port: int, most: int) -> None:
    """Wait until no more clients are connected than before; who stays too long shows in the level after."""

    async def have_left() -> bool:
        return inbound(door, port) <= most

    try:
        await shops.eventually(have_left, _REST_SECONDS, 0.5)
    except TimeoutError:
        return


@dataclass
class Readiness:
    """What the operator's own probe is told, once a second.

    Attributes:
        said: how often what.
        slowest: seconds.
    """

    said: Counter[str] = field(default_factory=Counter)
    slowest: float = 0

    async def probe(self, grounds: Grounds) -> None:
        """Ask until cancelled."""
        while True:
            began = time.monotonic()
            try:
                async with client(_OPERATOR) as http:
                    answer = await http.get(f"{grounds.door}/health/ready")
                self.said[_verdict(answer)] += 1
            except httpx.TransportError as error:
                self.said[type(error).__name__] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(_LOOK_SECONDS)

    def wrong(self, *, is_late: bool) -> list[str]:
        """List what is not ready: late, which a busy machine may be the reason for, or anything else."""
        return [
            f"readiness was {said}, {count} times"
            for said, count in self.said.items()
            if said != "ready" and is_late is (said == "503" or "Timeout" in said)
        ]


def _verdict(answer: httpx.Response) -> str:
    if answer.status_code != httpx.codes.OK:
        return str(answer.status_code)
    document = answer.json()
    if not document["ready"]:
        return "not ready"
    return "books differ" if document["books"]["state"] == "differ" else "ready"


def log_faults(log: Path) -> Counter[str]:
    """Count tracebacks in what the door printed, by their last lines."""
    found: Counter[str] = Counter()
    lines = log.read_text(errors="replace").splitlines()
    for number, line in enumerate(lines):
        if line.startswith("Traceback") or "Exception in ASGI application" in line:
            after = (end for end in lines[number + 1 :] if end and not end.startswith((" ", "Traceback", "During")))
            found[next(after, line)[:100]] += 1
    return found


async def served_unpaid(opened: db.Pool) -> list[str]:
    """List what was served to somebody whose money did not move, by the ledger and by the facilitator's own book."""
    rows = await shops.rows(opened, _UNPAID)
    wrong = [f"execution {row.id} is {row.state}, and its payment {row.payment}" for row in rows]
    async with httpx.AsyncClient(verify=TLS, timeout=30) as http:
        book = (await http.get(f"{settings().networks[0].facilitator_url}/practice/book")).json()
    moved: set[tuple[Any, ...]] = {(one["payer"], one["nonce"], one["amount"]) for one in book["transfers"]}
    return wrong + [
        f"a payment of {row.payer} is paid, and nothing moved"
        for row in await shops.rows(opened, _PAID)
        if (row.payer, "0x" + bytes(row.nonce).hex(), int(row.amount_atomic)) not in moved
    ]


class Processors:
    """Who uses the processors of this machine."""

    def __init__(self, door: psutil.Process, server: psutil.Process | None) -> None:
        """Begin to count.

        Args:
            door: the door.
            server: the drill's Postgres, which is nobody's child.
        """
        self._door, self._server = door, server
        self._began, self._before = time.monotonic(), self._spent()

    def cores(self) -> dict[str, float]:
        """How many processors each has used on average: the door, the drill, the rest of its stack, and others."""
        passed, now = time.monotonic() - self._began, self._spent()
        return {who: round(max(0.0, now[who] - self._before[who]) / passed, 2) for who in now}

    def _spent(self) -> dict[str, float]:
        drill = psutil.Process()
        stack = drill.children(recursive=True)
        if self._server:
            stack += [self._server, *self._server.children(recursive=True)]
        spent = {"door": _seconds(self._door), "drill": _seconds(drill)}
        spent["stack"] = sum(map(_seconds, stack)) - spent["door"]
        return spent | {"others": _busy() - sum(spent.values())}


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


async def lateness(samples: list[float]) -> None:
    """Measure until cancelled how late this process is, in seconds: its buyers' times are no better than that."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.05
        await asyncio.sleep(0.05)
        samples.append(loop.time() - due)
