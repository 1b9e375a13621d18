"""Serve operators, and compare the books in the background."""

import asyncio
import hmac
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic.alias_generators import to_camel

from api import documents, schedules
from api.door import Door
from api.setup import Setup
from api.upkeep import Upkeep
from core import db
from core.failures import Unauthorized
from core.observability import gauges
from core.payments import reconciliation
from core.process import scheduled_runs, shutdown, worker
from core.process.background_loop import background_task
from core.settings import settings

log = logging.getLogger(__name__)

router = APIRouter(prefix="/health", tags=["operators"])

PASS_SECONDS = 3_600
"""How long a browser is let in to the operator's pages."""

_bearer = HTTPBearer(scheme_name="operator", description="INSTANT_OPERATOR_TOKEN", auto_error=False)


@dataclass(slots=True)
class Books:
    """The result of the last comparison of ledger and executions, as counts by kind and never as sums of money."""

    differences: Counter[str] = field(default_factory=Counter)
    compared_at: float | None = None

    def verdict(self) -> dict[str, object]:
        """Agree, differ, or unknown if the last comparison is older than three intervals."""
        if self.compared_at is None:
            return {"state": "unknown"}
        age = time.monotonic() - self.compared_at
        state = "differ" if self.differences else "agree"
        return {
            "state": state if age < 3 * settings().books_seconds else "unknown",
            "differences": self.differences,
            "ageSeconds": round(age),
        }


@asynccontextmanager
async def comparing_books(pool: db.Pool) -> AsyncIterator[Books]:
    """Compare the books at once and every INSTANT_BOOKS_SECONDS, for the duration of the block."""
    books = Books()
    async with background_task(_compare(pool, books), name="books"):
        yield books


async def _compare(pool: db.Pool, books: Books) -> None:
    while True:
        try:
            comparison = await reconciliation.compare_ledger(pool)
        except db.UNREACHABLE as error:
            log.warning("books: not compared (%s)", type(error).__name__)
        else:
            books.differences = Counter(difference.code for difference in comparison.differences)
            books.compared_at = time.monotonic()
            if comparison.differences:
                log.error("books: %s differences; look at `instant money check`", len(comparison.differences))
        await asyncio.sleep(settings().books_seconds)


@router.get("/live", summary="Whether the process answers")
async def live() -> Response:
    """Always 200; restart a process that does not answer."""
    return JSONResponse({"live": True}, headers={"Cache-Control": "no-store"})


@router.get("/ready", summary="Whether requests can be served", responses={503: {"description": "Not now"}})
async def ready(request: Request) -> Response:
    """200 if the database answers and the process is not ending, 503 otherwise.

    Differing books, paused networks, late schedules, shared rate limits that are away, and a network or a master key
    that is not right need the operator's attention, but do not stop the other sales. It is computed at most once in
    INSTANT_PROBE_SECONDS, whoever asks.
    """
    door: Door = request.app.state.door
    document = await door.probes.get("ready", lambda: readiness_of(request.app))
    return JSONResponse(document, 200 if document["ready"] else 503, headers={"Cache-Control": "no-store"})


async def readiness_of(app: FastAPI) -> dict[str, object]:
    """Describe whether requests can be served, and everything that needs the operator's attention."""
    door: Door = app.state.door
    books: Books = app.state.books
    upkeep: Upkeep = app.state.upkeep
    setup: Setup = app.state.setup
    try:
        async with door.pool.connection(timeout=2) as conn:
            records = await scheduled_runs.records(conn)
            verified = {row.network: _network_verdict(row) for row in await gauges.networks(conn)}
    except db.UNREACHABLE:
        return {"ready": False, "database": "unreachable"}
    is_draining = worker.is_draining() or shutdown.has_begun()
    return {
        "ready": not is_draining,
        "draining": is_draining,
        "settling": len(door.settling),
        "limits": {"state": await door.limiter.state()},
        "books": books.verdict(),
        "networks": {name: told | setup.network(name) for name, told in verified.items()},
        "masterKeys": setup.master_keys(),
        "schedules": schedules.Verdict(records, upkeep.deployed).document(),
        "retention": upkeep.verdict(),
    }


@router.get("/money", summary="The sums of money, and what does not agree", responses=documents.problems(401, 503))
async def sums(request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Response:
    """Compares ledger, executions and usage rows now. `instant money check` also asks the chain."""
    _require_operator(bearer)
    door: Door = request.app.state.door
    comparison = await reconciliation.compare_ledger(door.pool)
    document = jsonable_encoder(comparison.document())
    return JSONResponse(_camel(document), headers={"Cache-Control": "no-store"})


def _network_verdict(row: gauges.NetworkState) -> dict[str, object]:
    """Agree; differ, if the chain does not show some payments as told; or paused, if they were too many."""
    verdict: dict[str, object] = {"differences": row.differing, "unverified": row.unverified}
    if row.paused_at is not None:
        reason = "The chain does not show what the facilitator told; nothing is sold here until you resume it."
        return verdict | {"state": "paused", "pausedAt": row.paused_at.isoformat(), "reason": reason}
    return verdict | {"state": "differ" if row.differing else "agree"}


def _require_operator(bearer: HTTPAuthorizationCredentials | None) -> None:
    """Require the operator's token.

    Raises:
        Unauthorized: the token is missing or wrong, or none is configured.
    """
    if bearer is None or not is_operator(bearer.credentials):
        raise Unauthorized


def is_operator(text: str) -> bool:
    """Whether this is the operator's token; False if none is configured."""
    token = settings().operator_token
    return token is not None and hmac.compare_digest(text.encode(), token.get_secret_value().encode())


def make_pass(now: float) -> str | None:
    """Make what a browser shows instead of the token, for PASS_SECONDS; None if no token is configured.

    It is the time of its end (unix seconds) under a MAC of the token, so nothing is stored, and another token ends it.
    """
    ends = str(int(now) + PASS_SECONDS)
    mac = _mac(ends)
    return None if mac is None else f"{ends}.{mac}"


def is_valid_pass(text: str, now: float) -> bool:
    """Whether a browser may see the operator's pages."""
    ends, _, mac = text.partition(".")
    made = _mac(ends)
    if made is None or not hmac.compare_digest(mac.encode(), made.encode()):
        return False
    return float(ends) > now  # the MAC says that it is a number of ours


def _mac(ends: str) -> str | None:
    token = settings().operator_token
    if token is None:
        return None
    return hmac.new(token.get_secret_value().encode(), f"operator's pass {ends}".encode(), "sha256").hexdigest()


def _camel(value: object) -> object:
    """Convert all keys to camel case, as in all our documents."""
    if isinstance(value, dict):
        return {to_camel(key): _camel(item) for key, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value
