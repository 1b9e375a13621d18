"""Serve `/metrics`, and count HTTP requests. `core/observability/metrics.py` defines all series."""

import logging
import time

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import methods, schedules
from api.door import Door
from api.operators import Books
from api.upkeep import Upkeep
from core.net.addresses import client_at
from core.observability import exposition, metrics
from core.observability.gauges import Verdicts
from core.settings import settings

_log = logging.getLogger(__name__)

router = APIRouter(tags=["operators"])


@router.get("/metrics", summary="Counts and times, for Prometheus", response_class=PlainTextResponse)
async def show(request: Request) -> Response:
    """This process's counts since its start, and gauges from the database. No sums of money, no names.

    The text format of Prometheus, or OpenMetrics if `Accept` asks for it. 200 also while the database is down. It is
    computed at most once in INSTANT_PROBE_SECONDS, whoever asks.
    """
    door: Door = request.app.state.door
    accept = request.headers.get("accept", "")
    key = "openmetrics" if exposition.is_openmetrics(accept) else "metrics"
    text, kind = await door.probes.get(key, lambda: _page(request.app, accept))
    return Response(text, headers={"Content-Type": kind, "Cache-Control": "no-store"})


async def _page(app: FastAPI, accept: str) -> tuple[bytes, str]:
    door: Door = app.state.door
    books: Books = app.state.books
    upkeep: Upkeep = app.state.upkeep
    snapshot = await door.snapshot()
    verdict = schedules.Verdict(snapshot.schedules if snapshot else {}, upkeep.deployed)
    verdicts = Verdicts(str(books.verdict()["state"]), verdict.late, verdict.active)
    return exposition.exposition(accept, snapshot, verdicts)


def counting(app: ASGIApp) -> ASGIApp:
    """Count every request by its route: never by its path or method, because clients can choose any."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, note)
        finally:
            seconds = time.monotonic() - began
            metrics.answered(_template(scope), status, seconds)
            if settings().access_log:
                _log_request(scope, status, seconds)

    return counted


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    """Log one request by its route: its path and query may hold an execution's id and its status token."""
    client = scope.get("client")
    facts: dict[str, object] = {
        "method": methods.named(scope["method"]),
        "route": _template(scope),
        "status": status,
        "milliseconds": round(seconds * 1000),
        "client": client_at(client[0]) if client else "unknown",
    }
    _log.info("%(method)s %(route)s %(status)s in %(milliseconds)s ms for %(client)s", facts, extra=facts)


def _template(scope: Scope) -> str:
    """Return the path template of the route; `other` if no route matched."""
    path: str = getattr(scope.get("route"), "path", "other")
    return path
