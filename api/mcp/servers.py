"""The two MCP servers. The SDK reads and writes the protocol: revision 2026-07-28, and those with a handshake."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping

from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolRequestParams, ListToolsResult, PaginatedRequestParams
from pydantic import ValidationError

from api import problems
from api.listing import FRESH_SECONDS
from api.mcp import binding, results, tools
from api.mcp.binding import Context
from core import db
from core.failures import Failure, NotFound, Unavailable, place_of
from core.observability import metrics

log = logging.getLogger(__name__)

_SHOP = (
    "A shop of prompts that are sold by the call. Find one with search_prompts, look at it with preview, and buy it. A"
    " call is paid by x402; the same payment always gets the same answer, so repeat a call whose answer was lost."
)
_CREATOR = (
    "Each tool is a prompt that is sold by the call, paid by x402. The same payment always gets the same answer, so"
    " repeat a call whose answer was lost. `status` fetches an answer that took longer; it is free."
)
_NOT_IN_SHOP = "There is no such prompt, tool or paid call. search_prompts finds the prompts that are for sale."
_NOT_OF_CREATOR = "There is no such prompt or paid call. tools/list names the prompts that are for sale here."

List = Callable[[Context, str | None], Awaitable[ListToolsResult]]
CallTool = Callable[[Context, str, Mapping[str, object]], Awaitable[HandlerResult]]


def shop() -> Server:
    """The server at `/mcp`."""
    return _server("x402-instant", _SHOP, _NOT_IN_SHOP, tools.list_shop, tools.call_shop)


def creator() -> Server:
    """The server at `/@creator/mcp`, for every creator."""
    return _server("x402-instant-creator", _CREATOR, _NOT_OF_CREATOR, tools.list_creator, tools.call_creator)


def _server(name: str, instructions: str, not_found: str, list_page: List, call: CallTool) -> Server:
    async def list_tools(context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        return await list_page(context, params.cursor if params else None)

    async def call_tool(context: Context, params: CallToolRequestParams) -> HandlerResult:
        # What a failure says is for the model to read, so it is a result and no error of the protocol.
        try:
            return await call(context, params.name, params.arguments or {})
        except NotFound as missing:
            return results.of_problem(problems.problem(404, not_found, missing.code))
        except Failure as error:
            failure = error
        except db.UNREACHABLE:
            failure = Unavailable("database_unreachable")
        if isinstance(failure, Unavailable):
            metrics.unavailable(failure.code)
        return results.of_problem(problems.of_failure(failure))

    server: Server = Server(
        name,
        version="1",
        instructions=instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,  # type: ignore[arg-type] # it also takes results of extensions
        cache_hints={"tools/list": CacheHint(ttl_ms=FRESH_SECONDS * 1000, scope="public")},
        # None of our schemas asks for a header; otherwise each call would list all tools to look.
        get_tool_input_schema=lambda _name: None,
    )
    server.extensions = {binding.EXTENSION: {}}
    # In place of the SDK's spans, which would hold the texts of exceptions.
    server.middleware[:] = [_guard]
    return server


async def _guard(ctx: ServerRequestContext, call_next: CallNext) -> HandlerResult:
    """Let no text of a foreign exception out: the SDK would send it to clients of older revisions, and log it."""
    try:
        return await call_next(ctx)
    except (MCPError, ValidationError):
        raise
    except Failure as error:
        answer, code = problems.of_failure(error), INVALID_PARAMS
    except db.UNREACHABLE:
        answer, code = problems.of_failure(Unavailable("database_unreachable")), INTERNAL_ERROR
    except Exception as error:
        log.error("mcp: %s", place_of(error))
        answer, code = problems.our_fault(), INTERNAL_ERROR
    raise MCPError(code=code, message=str(json.loads(bytes(answer.body))["detail"]))
