"""Serve buyers: show the price, take one payment, and return the answer now or later."""

import time
from collections.abc import Awaitable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from api import answers, documents, problems, purchases, streams
from api.bodies import patience, read_json
from api.delivery import delivered
from api.door import Door, LimitedDoor, client_of, door_of
from api.pages import executions, products
from api.pages.negotiation import wants_page
from core import db
from core.executions import lifecycle
from core.executions import views as execution_views
from core.failures import PaymentRequired
from core.observability import metrics, tracing
from core.payments.purchase import Conflict
from core.resources import versions

# `api/direct.py` calls its endpoint with the request itself.
shop = APIRouter(tags=["buyers"])
router = APIRouter(tags=["buyers"])

# A stream begins when its payment is decided, so that its headers can say how, and a refusal is a 402.
_DECIDED = ("queued", "running", *lifecycle.FINAL_STATES)

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
    started, began = time.monotonic(), time.time_ns()
    door, headers = await door_of(request), request.headers
    offered = await door.offered(request.path_params["handle"], request.path_params["slug"])
    current, is_watched = offered.version, streams.are_wanted(request)
    payments = [*headers.getlist("payment-signature"), *headers.getlist("x-payment")]

    def read_body(version: versions.Version) -> Awaitable[object]:
        return read_json(request, versions.body_limit(version))

    if not any(payments):
        if wants_page(request) and request.method == "GET":
            return products.product_page(offered, await door.record_of(offered.version.resource_id))
        answer = offered.answer(refusal := await purchases.unpaid(offered, read_body))
        if isinstance(refusal, PaymentRequired):
            metrics.offered()
        return answer
    if is_watched:
        door.readers.require_room()
    bought = await purchases.present(
        door,
        offered,
        payments,
        read_body,
        client=client_of(request),
        status_token=headers.get("status-token", ""),
        is_watched=is_watched,
    )
    if isinstance(bought, Conflict):
        return purchases.conflict_problem(bought)
    if isinstance(bought, purchases.Refused):
        answer = offered.answer(bought.reason)
        answer.headers.update(answers.refused_headers(bought.reason, bought.payload))
        return answer
    version, execution_id = bought.version, bought.execution_id
    wait = patience(headers.getlist("prefer"))
    states = _DECIDED if is_watched else lifecycle.FINAL_STATES
    row = await execution_views.follow(door.pool, door.hub, execution_id, started + wait.seconds, states)
    if row.state == "void":
        reason = PaymentRequired(db.required(row.reason))
        response = (await door.offered(current.handle, current.slug)).answer(reason, during="settle")
        response.headers.update(answers.paid_headers(row))
    elif is_watched:
        response = streams.answer(request, door, row)
    else:
        response = answers.answer(row, ahead=await purchases.ahead(door, row))
        response.headers.update(wait.headers())
    facts: dict[str, tracing.Fact] = {"resource": f"@{version.handle}/{version.slug}", "status": response.status_code}
    tracing.record("buy", execution_id, began, facts, is_root=bought.is_new)
    return response if is_watched and row.state != "void" else delivered(response, door, row)


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
    row = await purchases.authorized(door, execution_id, token, status_token)
    if streams.are_wanted(request):
        return streams.answer(request, door, row)
    ahead = await purchases.ahead(door, row)
    if wants_page(request):
        return delivered(executions.execution_page(row, await _bought(door, row), ahead=ahead), door, row)
    return delivered(answers.status(row, ahead=ahead), door, row)


@router.get("/executions/{execution_id}/answer", include_in_schema=False)
async def save(door: LimitedDoor, execution_id: UUID, token: Annotated[str, Query()] = "") -> Response:
    """The answer's text as a file, from its page."""
    row = await purchases.authorized(door, execution_id, token)
    return delivered(executions.saved_answer(row, await _bought(door, row)), door, row)


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
    row = await purchases.authorized(door, execution_id, token, status_token)
    async with door.pool.connection() as conn:
        accepted = await lifecycle.rerun(conn, execution_id)
    if not accepted and row.state in ("failed", "declined", "void"):
        return problems.problem(409, "This execution cannot be run again.", "rerun_refused")
    if wants_page(request):
        return executions.back_to_page(row)
    if streams.are_wanted(request):
        return streams.answer(request, door, await execution_views.current(door.pool, execution_id))
    row = await execution_views.follow(door.pool, door.hub, execution_id, started + patience(prefer).seconds)
    return delivered(answers.answer(row, ahead=await purchases.ahead(door, row)), door, row)


async def _bought(door: Door, row: execution_views.Execution) -> versions.Version:
    async with db.autocommit(door.pool) as conn:
        return await versions.version(conn, row.version_id)
