"""Serve what happens to an execution as server-sent events (WHATWG HTML, 9.2).

`core/executions/watching.py` says what the events are; docs/buyers.md shows them to buyers.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from fastapi import Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, format_sse_event

from api import answers
from api.delivery import mark_fetched
from api.door import Door
from core import db
from core.executions import watching
from core.executions.views import Execution
from core.process import shutdown

MEDIA_TYPE = "text/event-stream"
BEAT = format_sse_event(comment="beat")
_RETRY_MILLISECONDS = 1000
_NAMES = {"held": "settling", "queued": "queued", "running": "running"}
HEADERS = {
    "Cache-Control": "no-store",
    # nginx would gather what has to arrive at once.
    "X-Accel-Buffering": "no",
}

More = Callable[[Execution], Awaitable[Mapping[str, object]]]
"""What the end of an owner's test says beside its answer."""


def are_wanted(request: Request) -> bool:
    """Whether the client wants events: of them and JSON, `Accept` names them first."""
    named = [item.partition(";")[0].strip().lower() for item in ",".join(request.headers.getlist("accept")).split(",")]
    return next((name for name in named if name in (MEDIA_TYPE, "application/json")), "") == MEDIA_TYPE


def answer(request: Request, door: Door, row: Execution, more: More | None = None) -> Response:
    """Answer with the events of an execution, after the last one that the client has seen.

    That is named by the header `Last-Event-ID`, or by `after` in the URL where a client cannot set headers. It is no
    secret: it holds a place and a MAC.

    Raises:
        Unavailable, TooManyRequests: there are too many readers.
    """
    after = request.headers.get("last-event-id") or request.query_params.get("after", "")
    if watching.is_end(row, after):
        # A browser then stops connecting again.
        return Response(status_code=204, headers=HEADERS)
    door.readers.require_room(row.id)
    headers = answers.paid_headers(row) | {"Content-Location": answers.url_of(row.id)} | HEADERS
    return EventSourceResponse(_encoded(door, row, after, more), headers=headers)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The stream ends before the execution does: the door stops, or Postgres is away."""

    reason: Literal["the door stops", "interrupted"]


async def events(door: Door, row: Execution, after: str = "") -> AsyncGenerator[watching.Event | Interrupted]:
    """Yield what happens to an execution until it is over, or until this reader is interrupted; count the reader.

    Args:
        door: counts it.
        row: the execution.
        after: as in `watching.watch`.
    """
    watched = watching.watch(door.pool, door.hub, row.id, after)
    with door.readers.reading(row.id):
        try:
            async with aclosing(watched):
                async for event in watched:
                    yield event
                    if shutdown.has_begun() and not isinstance(event, watching.Ended):
                        yield Interrupted("the door stops")
                        return
        except db.UNREACHABLE:
            yield Interrupted("interrupted")


async def _encoded(door: Door, row: Execution, after: str, more: More | None) -> AsyncIterator[bytes]:
    """Yield the events as text.

    A stream without an end says that the client has to connect again, with the last id that it has seen.
    """
    yield format_sse_event(retry=_RETRY_MILLISECONDS)
    async with aclosing(events(door, row, after)) as happening:
        async for event in happening:
            yield await _encode(door, event, more)


async def _encode(door: Door, event: watching.Event | Interrupted, more: More | None) -> bytes:
    match event:
        case Interrupted(reason=reason):
            return format_sse_event(comment=f"{reason}; connect again with Last-Event-ID")
        case watching.Beat():
            return BEAT
        case watching.Delta(id=place, text=text):
            return format_sse_event(event="delta", data_str=_json({"text": text}), id=place)
        case watching.Reset(id=place):
            return format_sse_event(event="reset", data_str="{}", id=place)
        case watching.Progress(id=place, row=row, state=state, ahead=ahead):
            told: dict[str, object] = {"jobId": str(row.id), "statusUrl": answers.url_of(row.id)}
            told["receipt"] = answers.receipt_of(row)
            if state == "queued":
                told["ahead"] = ahead
            return format_sse_event(event=_NAMES[state], data_str=_json(told), id=place)
        case watching.Ended(id=place, row=row, sha256=sha256):
            added = dict(await more(row)) if more else {}
            name, body = answers.end(row, sha256, added)
            await mark_fetched(door, row)
            return format_sse_event(event=name, data_str=body.decode(), id=place)


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
