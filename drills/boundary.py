"""Find the boundaries where a process can be killed: each commit and each outside call of the paid path.

`watch` instruments the process that calls it: psycopg's commit, group commits, and the sending of both HTTP libraries.
A boundary is named after the function of the product that caused it; nothing in the product knows of this.
"""

import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path
from types import FrameType
from typing import Any, Literal, TypeVar

import aiohttp
import httpx
import psycopg
from psycopg.pq import TransactionStatus
from yarl import URL

from core.db import BatchWriter

T = TypeVar("T")
Side = Literal["before", "after"]
_Around = Callable[[str | None, str, Callable[[], Awaitable[Any]]], Awaitable[Any]]

_ROOT = Path(__file__).parents[1]
_PRODUCT = {"api", "core", "deployments", "flows", "tasks"}
# Functions that only pass a call on; their callers are the interesting ones.
_GO_BETWEENS = (
    "core.db.",
    "core.evm.",
    "core.payments.chain.",
    "core.net.json_client.",
    "core.payments.facilitator.Facilitator._request",
    "core.payments.settlement._read_chain",
    "core.providers.transport.",
)
# Events that no payment causes: timers that find nothing, and requests that are made once for all.
_IDLE = {
    ("deployments.launch._claim", "read"),
    ("core.recovery.recover", "read"),
    # A launcher's first pass buries what the doors before it left, and may still be under way when the request begins.
    ("core.recovery.recover", "commit"),
    ("core.recovery._decide_unknown", "read"),
    ("core.recovery._watch_refused", "read"),
    ("core.payments.facilitator.Facilitator.get_supported", "GET /supported"),
    ("prefect", "GET /api/flows/ID"),
    ("prefect", "POST /api/logs/"),
}
# Likewise: a launcher's timer closes finished runs in Prefect, and any of its requests may be the one with a token.
# A door asks nodes whether they agree with the settings.
_IDLE_PLACES = ("tasks.unfinished_runs.", "api.setup.")
_IDLE_QUESTION = "GET /api/csrf-token"
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, order=True)
class Boundary:
    """A commit (or the end of a read) or an outside call.

    Attributes:
        place: the product's function.
        what: `commit`, `read`, or the HTTP request.
        occurrence: 1 for the first time since the paid request began.
    """

    place: str
    what: str
    occurrence: int


@dataclass(frozen=True)
class Plan:
    """The instructions for a watched process.

    Attributes:
        armed: set when the paid request begins; earlier boundaries do not count.
        passed: called with each boundary that is passed.
        victim: the boundary and the side on which to be killed; None only watches.
    """

    armed: Event
    passed: "SimpleQueue[Boundary]"
    victim: tuple[Boundary, Side] | None


def watch(plan: Plan) -> None:
    """Instrument this process."""
    counts: Counter[tuple[str, str]] = Counter()

    async def around(place: str | None, what: str, action: Callable[[], Awaitable[T]]) -> T:
        if place is None or _is_idle(place, what):
            return await action()
        counts[place, what] += 1
        boundary = Boundary(place, what, counts[place, what])
        plan.passed.put(boundary)
        if plan.victim == (boundary, "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        result = await action()
        if plan.victim == (boundary, "after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    commit = psycopg.AsyncConnection.commit

    async def watched_commit(conn: psycopg.AsyncConnection[Any]) -> None:
        if not plan.armed.is_set() or conn.info.transaction_status is not TransactionStatus.INTRANS:
            return await commit(conn)
        return await around(_place(), "commit" if await _has_written(conn) else "read", lambda: commit(conn))

    psycopg.AsyncConnection.commit = watched_commit  # type: ignore[method-assign, assignment]
    _watch_groups(plan, around)
    _watch_sends(plan, around)


def _watch_groups(plan: Plan, around: _Around) -> None:
    """Name group commits after the function that writes, because one commit serves many callers."""
    put = BatchWriter._write_entries

    async def watched_put(self: Any, pool: Any, group: Any) -> None:
        if not plan.armed.is_set():
            return await put(self, pool, group)
        write = self._write
        what = "commit" if write.__name__.startswith("_commit") else "read"
        await around(f"{write.__module__}.{write.__name__}", what, lambda: put(self, pool, group))

    BatchWriter._write_entries = watched_put  # type: ignore[method-assign]


def _watch_sends(plan: Plan, around: _Around) -> None:
    """Instrument httpx, which Prefect uses for its server, and aiohttp, which the product uses for other servers."""
    send, request = httpx.AsyncClient.send, aiohttp.ClientSession._request

    async def watched_send(self: httpx.AsyncClient, asked: httpx.Request, **options: Any) -> Any:
        if not plan.armed.is_set():
            return await send(self, asked, **options)
        what = f"{asked.method} {_ID.sub('ID', asked.url.path)}"
        return await around(_place(), what, lambda: send(self, asked, **options))

    async def watched_request(self: Any, method: str, url: str | URL, **options: Any) -> Any:
        if not plan.armed.is_set():
            return await request(self, method, url, **options)
        what = f"{method} {_ID.sub('ID', URL(url).path)}"
        return await around(_place(), what, lambda: request(self, method, url, **options))

    httpx.AsyncClient.send = watched_send  # type: ignore[method-assign, assignment]
    aiohttp.ClientSession._request = watched_request  # type: ignore[method-assign, assignment]


def _is_idle(place: str, what: str) -> bool:
    return (place, what) in _IDLE or place.startswith(_IDLE_PLACES) or what == _IDLE_QUESTION


async def _has_written(conn: psycopg.AsyncConnection[Any]) -> bool:
    row = await (await conn.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")).fetchone()
    return bool(row and row[0])


def _place() -> str | None:
    """Find the product's innermost calling function; Prefect's engine if none of ours; None otherwise."""
    frame: FrameType | None = sys._getframe(1)
    engine = None
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in _PRODUCT:
            module = ".".join(path.relative_to(_ROOT).with_suffix("").parts)
            name = f"{module}.{frame.f_code.co_qualname.split('.<locals>')[0]}"
            if not name.startswith(_GO_BETWEENS):
                return name
        elif "/prefect/" in frame.f_code.co_filename:
            engine = "prefect"
        frame = frame.f_back
    return engine
