"""Write out the outcome of an execution, and note that its buyer has it."""

import asyncio
from contextlib import suppress

from fastapi import Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

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
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        first, last = bytes(self.body[:-_LAST_BYTES]), bytes(self.body[-_LAST_BYTES:])
        if first:
            await send(start)
            await send({"type": "http.response.body", "body": first, "more_body": True})
            # uvicorn waits for the client before it takes the next part, and not after this one.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
        if not await Request(scope, receive).is_disconnected():
            await mark_fetched(self._door, self._row)
        if not first:
            await send(start)
        await send({"type": "http.response.body", "body": last})
