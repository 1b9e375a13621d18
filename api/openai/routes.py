"""The addresses of the OpenAI-compatible door."""

import time
from contextlib import suppress
from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api import buying, paging, problems
from api import listing as listed
from api.bodies import Name, Patience, parsed_json, patience, read_body
from api.delivery import delivered
from api.door import Door, LimitedDoor, door_of
from api.offers import Offered
from api.openai import chat as chats
from api.openai import chunks, completions, documents, errors, models
from api.openai.chat import Chat
from api.paging import KnownTag
from core import db
from core.executions import lifecycle
from core.executions import views as execution_views
from core.executions.views import Execution
from core.failures import NotFound, TooLarge, Unavailable
from core.resources import listing, versions
from core.resources.listing import Filters
from core.settings import settings

router = APIRouter(prefix="/v1", tags=["openai"])


@router.get("/models", summary="The products for sale, as OpenAI lists models", responses=documents.MODELS)
async def list_models(door: LimitedDoor, if_none_match: KnownTag = "") -> Response:
    """The most sold first, at most 1,000; `GET /resources` has all of them, page by page."""
    async with db.autocommit(door.pool) as conn:
        rows, _is_whole = await listing.everything(conn, Filters(sort="popular"), most=models.LISTED)
    page = {"object": "list", "data": [models.entry(row) for row in rows]}
    return paging.known_or(page, if_none_match, seconds=listed.FRESH_SECONDS)


@router.get("/models/@{handle}/{slug}", summary="One product for sale, as a model", responses=documents.MODEL)
async def show_model(door: LimitedDoor, handle: Name, slug: Name, if_none_match: KnownTag = "") -> Response:
    """With the JSON Schema of its inputs and, where one is promised, of its answers."""
    async with db.autocommit(door.pool) as conn:
        row = await listing.find(conn, handle, slug)
    if row is None:
        raise NotFound
    return paging.known_or(models.whole_entry(row), if_none_match, seconds=listed.FRESH_SECONDS)


@router.post(
    "/chat/completions",
    summary="Buy an execution as a chat completion",
    responses=documents.COMPLETION,
    openapi_extra=documents.REQUEST,
)
async def complete(request: Request) -> Response:
    """Without a payment: 402 with the same offer as `/@creator/slug`. With one: the completion, whole or in chunks."""
    started = time.monotonic()
    door = await door_of(request)
    try:
        chat, offered = await _read(request, door)
    except NotFound:
        return problems.problem(404, errors.NO_SUCH_MODEL, errors.MODEL_NOT_FOUND, fields=errors.NO_SUCH_FIELDS)
    wait = patience(request.headers.getlist("prefer"))
    inputs = partial(_inputs, chat, wait)
    if not any(buying.payments_of(request)):
        return await buying.offer(offered, partial(inputs, offered.version))
    # Its clients wait for minutes, and take no 202.
    until = started + (wait.seconds if wait.applied else settings().max_wait_seconds)
    bought = await buying.take(request, door, offered, inputs, until=until, is_streamed=chat.is_streamed)
    if isinstance(bought, Response):
        return bought
    row = bought.row
    if not bought.is_new and row.state == "failed" and row.may_rerun:
        row = await _run_again(door, row, until, is_streamed=chat.is_streamed)
    if chat.is_streamed:
        return bought.traced(chunks.answer(door, row, chat))
    response = bought.traced(completions.answer(row, chat))
    response.headers.update(wait.headers())
    # The client's own repetition of a failure shall find it, and run it again.
    return delivered(response, door, row) if completions.is_answered(row) else response


async def _read(request: Request, door: Door) -> tuple[Chat, Offered]:
    """Read the request, and look up the offer at what it asks for.

    Raises:
        InvalidInput, TooLarge, UnsupportedBody: before any payment.
        NotFound: there is no such product.
    """
    body = await read_body(request, versions.largest_body_limit())
    if len(body) > settings().body_limit:
        # So large a body is parsed only for a product that takes pictures or files of that size.
        named = chats.NAMED.search(body)
        if named is None:
            raise TooLarge("body_too_large", settings().body_limit)
        _require_size(len(body), (await door.offered(named[1].decode(), named[2].decode())).version)
    chat = chats.read(parsed_json(request, body), len(body))
    return chat, await door.offered(chat.handle, chat.slug)


async def _inputs(chat: Chat, wished: Patience, version: versions.Version) -> dict[str, str]:
    buying.require_privacy(wished, version)
    _require_size(chat.size, version)
    return chats.inputs_of(chat, version)


def _require_size(size: int, version: versions.Version) -> None:
    limit = versions.body_limit(version)
    if size > limit:
        raise TooLarge("body_too_large", limit)


async def _run_again(door: Door, row: Execution, until: float, *, is_streamed: bool) -> Execution:
    """Run a failed execution again for free, because its client repeats the request; return it when it has ended."""
    with suppress(Unavailable):
        async with door.pool.connection() as conn:
            await lifecycle.rerun(conn, row.id)
    if is_streamed:
        return await execution_views.current(door.pool, row.id)
    return await execution_views.follow(door.pool, door.hub, row.id, until)
