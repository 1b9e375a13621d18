"""Serve buyers: show the price, take one payment, and return the answer now or later."""

import time
from functools import partial
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from api import answers, buying, documents, offers, problems, streams, well_known
from api.bodies import Patience, patience, read_json
from api.delivery import delivered
from api.door import Door, LimitedDoor, door_of
from api.pages import executions, products
from api.pages.negotiation import wants_page
from core import db
from core.executions import lifecycle, retention
from core.executions import views as execution_views
from core.payments import receipts
from core.resources import product, versions

# `api/direct.py` calls its endpoint with the request itself.
shop = APIRouter(tags=["buyers"])
router = APIRouter(tags=["buyers"])

_NOT_AT_REST = "Its inputs are still needed. Delete it once it is answered or, without an answer, paid back."
_BUYING = documents.EXECUTION | documents.OFFER | documents.problems(409, 413, 415, 431)


@shop.get(
    "/@{handle}/{slug}",
    summary="See the price and the inputs, or buy without inputs",
    responses=_BUYING,
    openapi_extra={"parameters": documents.PURCHASE["parameters"]},
)
@shop.post("/@{handle}/{slug}", summary="Buy an execution", responses=_BUYING, openapi_extra=documents.PURCHASE)
async def buy(request: Request) -> Response:
    """Without a payment: 402 with the offer. With one: 200 with the answer, or 202 with its status URL.

    With `Accept: text/event-stream`: the events of the execution, with the text while it is made.
    """
    started = time.monotonic()
    door = await door_of(request)
    offered = await door.offered(request.path_params["handle"], request.path_params["slug"])
    if not any(buying.payments_of(request)):
        if wants_page(request) and request.method == "GET":
            return products.product_page(offered, await door.record_of(offered.version.resource_id))
        return await _offer(request, offered)
    is_streamed, wait = streams.are_wanted(request), patience(request.headers.getlist("prefer"))
    until, inputs = started + wait.seconds, partial(_read_inputs, request, wait)
    bought = await buying.take(request, door, offered, inputs, until=until, is_streamed=is_streamed)
    if isinstance(bought, Response):
        return bought
    if is_streamed:
        return bought.traced(streams.answer(request, door, bought.row))
    response = answers.answer(bought.row, ahead=await buying.ahead(door, bought.row))
    response.headers.update(wait.headers())
    return delivered(bought.traced(response), door, bought.row)


async def _read_inputs(request: Request, wished: Patience, version: versions.Version) -> dict[str, str]:
    buying.require_privacy(wished, version)
    body = await read_json(request, versions.body_limit(version))
    return versions.validate_inputs(version, {} if body is None else body)


async def _offer(request: Request, offered: offers.Offered) -> Response:
    """Answer without a payment: 402, or 400 for inputs that do not fit, both with the offer. `{}` only asks for it."""
    wished = patience(request.headers.getlist("prefer"))

    async def check() -> None:
        buying.require_privacy(wished, offered.version)
        body = await read_json(request, versions.body_limit(offered.version))
        if body is not None and body != {}:
            versions.validate_inputs(offered.version, body)

    answer = await buying.offer(offered, check, _hint(request, offered.version))
    if wished.privacy and answer.status_code == HTTPStatus.PAYMENT_REQUIRED:
        answer.headers["Preference-Applied"] = wished.privacy
    return answer


def _hint(request: Request, version: versions.Version) -> str:
    """Return what to tell a client that put inputs into the URL; nothing for another one."""
    # Nearly every request has no query, and offers are made by the thousand.
    query = request.query_params
    names = [name for name in product.properties(version) if name in query] if query else []
    if not names:
        return ""
    return f"Inputs belong into the body, as JSON: {', '.join(names)} in the URL is not read, because logs keep URLs."


@router.get(
    "/executions/{execution_id}",
    summary="The state of an execution, and its answer when there is one",
    responses=documents.STATUS,
)
async def show(
    request: Request,
    door: LimitedDoor,
    execution_id: UUID,
    token: Annotated[str, Query(description="the status token, as in statusUrl")] = "",
    status_token: Annotated[str, Header(description="the same, as a header")] = "",
) -> Response:
    """Poll this after a 202, or read it as events. The bearer of the token may read the answer.

    With `Accept: text/event-stream`: events from `Last-Event-ID` on, or from `after` in the URL.
    """
    row = await buying.authorized(door, execution_id, token, status_token)
    if streams.are_wanted(request):
        return streams.answer(request, door, row)
    ahead = await buying.ahead(door, row)
    if wants_page(request):
        return delivered(executions.execution_page(row, await _bought(door, row), ahead=ahead), door, row)
    return delivered(answers.status(row, ahead=ahead), door, row)


@router.get("/executions/{execution_id}/answer", include_in_schema=False)
async def save(door: LimitedDoor, execution_id: UUID, token: Annotated[str, Query()] = "") -> Response:
    """The answer's text as a file, from its page."""
    row = await buying.authorized(door, execution_id, token)
    return delivered(executions.saved_answer(row, await _bought(door, row)), door, row)


@router.get(
    "/executions/{execution_id}/receipt",
    summary="The signed receipt of an answer",
    response_model=documents.SignedReceipt,
    responses=documents.problems(404, 409, 429, 503),
)
async def show_receipt(
    door: LimitedDoor,
    execution_id: UUID,
    token: Annotated[str, Query()] = "",
    status_token: Annotated[str, Header()] = "",
) -> JSONResponse:
    """It is there as soon as there is an answer, and stays when that is deleted."""
    row = await buying.authorized(door, execution_id, token, status_token)
    signed = receipts.receipt_of(row)
    if signed is None:
        return problems.problem(409, "There is a receipt once this is paid and answered.", "no_receipt")
    return JSONResponse({"jws": signed, "keys": well_known.keys_url()}, headers={"Cache-Control": "no-store"})


@router.delete(
    "/executions/{execution_id}",
    summary="Delete the inputs and the answer of an execution",
    status_code=204,
    responses=documents.problems(404, 409, 429, 503),
)
async def erase(
    door: LimitedDoor,
    execution_id: UUID,
    token: Annotated[str, Query()] = "",
    status_token: Annotated[str, Header()] = "",
) -> Response:
    """They are gone at once, pictures and sounds too. The receipt and what was paid stay."""
    await buying.authorized(door, execution_id, token, status_token)
    if await retention.erase(door.pool, execution_id):
        return Response(status_code=204)
    return problems.problem(409, _NOT_AT_REST, "not_at_rest")


@router.post("/executions/{execution_id}/erase", include_in_schema=False)
async def erase_by_form(door: LimitedDoor, execution_id: UUID, token: Annotated[str, Query()] = "") -> Response:
    """The same from its page: a form cannot send DELETE."""
    row = await buying.authorized(door, execution_id, token)
    if await retention.erase(door.pool, execution_id):
        return executions.back_to_page(row)
    return problems.problem(409, _NOT_AT_REST, "not_at_rest")


@router.post(
    "/executions/{execution_id}/rerun",
    summary="Run a failed execution again with the same inputs, for free",
    responses=documents.EXECUTION | documents.problems(409),
)
async def rerun(
    request: Request,
    door: LimitedDoor,
    execution_id: UUID,
    token: Annotated[str, Query()] = "",
    status_token: Annotated[str, Header()] = "",
    prefer: Annotated[list[str] | None, Header()] = None,
) -> Response:
    """For failures that were not your fault, within the time and number that the failed answer offered."""
    started = time.monotonic()
    row = await buying.authorized(door, execution_id, token, status_token)
    async with door.pool.connection() as conn:
        accepted = await lifecycle.rerun(conn, execution_id)
    if not accepted and row.state in ("failed", "declined", "void"):
        return problems.problem(409, "This execution cannot be run again.", "rerun_refused")
    if wants_page(request):
        return executions.back_to_page(row)
    if streams.are_wanted(request):
        return streams.answer(request, door, await execution_views.current(door.pool, execution_id))
    row = await execution_views.follow(door.pool, door.hub, execution_id, started + patience(prefer).seconds)
    return delivered(answers.answer(row, ahead=await buying.ahead(door, row)), door, row)


async def _bought(door: Door, row: execution_views.Execution) -> versions.Version:
    async with db.autocommit(door.pool) as conn:
        return await versions.version(conn, row.version_id)
