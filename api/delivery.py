"""Write out the outcome of an execution, and note that its buyer has it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.door import Door
from core import db
from core.executions.lifecycle import FINAL_STATES
from core.executions.views import Execution
from core.payments import ledger

# What uvicorn takes without waiting for the client (the high-water mark of its transport). A longer body is written in
# two parts, and a client that hangs up within the first is noticed.
_LAST_BYTES = 65_536
# How long the last bytes wait for the mark. Without it, the wallet's next payment for the same request gets them again.
_MARK_SECONDS = 1.0


def delivered(response: Response, door: Door, row: Execution) -> Response:
    """Let the payment be marked as fetched when this response is written out to a client that is still connected.

    A response that holds no outcome of a paid execution, and one of an outcome that was fetched before, stay as they
    are.
    """
    return _Delivery(response, door, row) if _is_news(row) else response


async def mark_fetched(door: Door, row: Execution) -> None:
    """Mark the payment of an outcome that is about to be written to a client who is still connected."""
    if not _is_news(row):
        return
    with suppress(TimeoutError, *db.UNREACHABLE):
        async with asyncio.timeout(_MARK_SECONDS):
            await ledger.mark_fetched(door.pool, db.required(row.payment_id))


def _is_news(row: Execution) -> bool:
    return row.payment_state == "paid" and row.state in FINAL_STATES and row.fetched_at is None


class _Delivery(Response):
    """A response whose last bytes follow the mark.

    A buyer who has the whole answer can thus buy another one to the same inputs at once. A buyer who hung up before
    has it unmarked, and gets it for the next payment.
    """

    def __init__(self, response: Response, door: Door, row: Execution) -> None:
        super().__init__(status_code=response.status_code)
        self.body, self.raw_headers = response.body, response.raw_headers
        self._door, self._row = door, row

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the response (ASGI)."""
        outcome = Outcome(self._row)
        await super().__call__(scope, receive, marking(scope, receive, send, self._door, outcome))


@dataclass
class Outcome:
    """The outcome that a response carries, once it is known; None: none so far."""

    row: Execution | None = None


def marking(scope: Scope, receive: Receive, send: Send, door: Door, outcome: Outcome) -> Send:
    """Return a `send` (ASGI) that marks an outcome as fetched before the last bytes that carry it.

    The first part of a body that is sent after the outcome is known carries it. Nothing is written before that.
    """
    start: Message | None = None

    async def begin() -> None:
        nonlocal start
        if start is not None:
            message, start = start, None
            await send(message)

    async def sending(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            start = message
            return
        row, body = outcome.row, message.get("body", b"")
        if row is None or not body:
            await begin()
            await send(message)
            return
        outcome.row = None
        first, last = bytes(body[:-_LAST_BYTES]), bytes(body[-_LAST_BYTES:])
        if first:
            await begin()
            await send({"type": "http.response.body", "body": first, "more_body": True})
            # uvicorn waits for the client before it takes the next part, and not after this one.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
        if not await Request(scope, receive).is_disconnected():
            await mark_fetched(door, row)
        await begin()
        await send({**message, "body": last})

    return sending
