"""Serve MCP over streamable HTTP, without sessions: each POST is a request, whose answer is JSON or events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send

from api import problems
from api.authentication import refuse_other_sites
from api.delivery import Outcome, marking
from api.door import Door, LimitedDoor
from api.mcp import buying, servers
from core.failures import TooLarge
from core.resources import attachments
from core.settings import settings

router = APIRouter(include_in_schema=False)

CREATOR_PATH: Final = "/@{handle}/mcp"
_OTHERS: Final = ["GET", "DELETE", "PUT", "PATCH", "OPTIONS"]
# A message around the inputs of a call: its method, names and what the client tells about itself.
_ENVELOPE = 16_384


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    """Run both servers for the duration of the block, in one task: the SDK's task groups must end where they began."""
    shop, creator = (_manager(kind) for kind in (servers.shop, servers.creator))
    app.state.mcp_shop, app.state.mcp_creator = shop, creator
    begun, over = asyncio.Event(), asyncio.Event()

    async def serve() -> None:
        async with shop.run(), creator.run():
            begun.set()
            await over.wait()

    serving = asyncio.create_task(serve())
    await begun.wait()
    try:
        yield
    finally:
        over.set()
        await serving


def body_limit() -> int:
    """Return the most bytes of a message: a call with the largest inputs that a prompt may take, and a payment."""
    config = settings()
    most_inputs = config.body_limit + attachments.most_characters(attachments.BYTES_LIMIT)
    return most_inputs + config.payment_header_limit + _ENVELOPE


@router.post("/mcp")
async def shop(request: Request, door: LimitedDoor) -> Response:
    """The whole shop."""
    return _serve(request, door, request.app.state.mcp_shop)


@router.post(CREATOR_PATH)
async def creator(request: Request, door: LimitedDoor) -> Response:
    """One creator's prompts, each a tool."""
    return _serve(request, door, request.app.state.mcp_creator)


@router.api_route("/mcp", methods=_OTHERS)
@router.api_route(CREATOR_PATH, methods=_OTHERS)
async def no_session() -> JSONResponse:
    """Take POST alone: without sessions there is no stream to read, and none to end (MCP 2025-11-25, transports)."""
    return problems.problem(405, "Send MCP messages by POST.", "method_not_allowed", {"Allow": "POST"})


def _serve(request: Request, door: Door, manager: StreamableHTTPSessionManager) -> Response:
    """Answer one message.

    Raises:
        Denied: a page of another site sent it (DNS rebinding; MCP 2025-11-25, transports, security warning).
        TooLarge: it says to be larger than any may be; the SDK stops reading what does not say.
    """
    refuse_other_sites(request, needs_proof=False)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > body_limit():
        raise TooLarge("body_too_large", body_limit())
    return _Exchange(door, manager)


class _Exchange(Response):
    """What the SDK answers, with the outcome of a call marked as fetched just before its last bytes."""

    def __init__(self, door: Door, manager: StreamableHTTPSessionManager) -> None:
        super().__init__()
        self._door, self._manager = door, manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the SDK read the request and write the answer (ASGI)."""
        outcome = scope[buying.OUTCOME] = Outcome()
        await self._manager.handle_request(scope, receive, marking(scope, receive, send, self._door, outcome))


def _manager(server: Callable[[], Server]) -> StreamableHTTPSessionManager:
    return StreamableHTTPSessionManager(server(), stateless=True, max_request_body_size=body_limit())
