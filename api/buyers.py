"""The buyer's routes: see the price, pay once, get the answer now or fetch it later."""

import time
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from api import answers, paywall, problems
from api.bodies import Name, patience, read_json
from api.door import Door, LimitedDoor
from api.offers import offer_of
from core import execution, resource
from core.draft import usdc
from core.failures import NotFound, PaymentMalformed, PaymentRequired

router = APIRouter(tags=["buyers"])


@router.get("/@{handle}/{slug}", summary="See the price and the inputs, or buy without inputs")
@router.post("/@{handle}/{slug}", summary="Buy an execution")
async def buy(
    request: Request,
    door: LimitedDoor,
    handle: Name,
    slug: Name,
    payment_signature: Annotated[str | None, Header(description="x402 v2 payment; without it you get the 402")] = None,
    x_payment: Annotated[str | None, Header(description="x402 v1 payment")] = None,
    status_token: Annotated[str, Header(description="with a repeated v1 payment: proves that it is yours")] = "",
    prefer: Annotated[str | None, Header(description="`wait=N` seconds, or `respond-async`")] = None,
) -> Response:
    """Without a payment: 402 with the offer. With one: 200 with the answer, or 202 with a URL where it will be."""
    started = time.monotonic()
    async with door.pool.connection() as conn:
        current = await resource.resolve(conn, handle, slug)
    body = await read_json(request)
    try:
        payload = paywall.read_header(payment_signature, x_payment)
        if payload is None:
            if current.archived:
                raise NotFound
            if body is not None:
                resource.validate(current, body)
            raise PaymentRequired("payment_required")
        version = await paywall.quoted_version(door, payload, current)
        inputs = resource.validate(version, {} if body is None else body)
        purchase = paywall.Purchase(payload, version, inputs, status_token)
        execution_id = await paywall.admit(door, purchase)
    except (PaymentRequired, PaymentMalformed) as refusal:
        return await offer_of(door, current, refusal)
    except paywall.Conflict as conflict:
        return _conflict(conflict)
    wait = patience(prefer)
    row = await execution.follow(door.pool, door.hub, execution_id, started + wait.seconds)
    if row.state == "void":
        response = await offer_of(door, current, PaymentRequired(row.reason))
        response.headers.update(answers.paid_headers(row))
        return response
    response = answers.answer(row, ahead=await _ahead(door, row))
    response.headers.update(wait.headers())
    return response


@router.get("/executions/{execution_id}", summary="The state of an execution, and its answer when there is one")
async def show(
    door: LimitedDoor,
    execution_id: UUID,
    token: Annotated[str, Query(description="the status token, as in statusUrl")] = "",
    status_token: Annotated[str, Header(description="the same, as a header")] = "",
) -> Response:
    """Poll this after a 202. Who has the token may read the answer."""
    row = await _mine(door, execution_id, token or status_token)
    return answers.status(row, ahead=await _ahead(door, row))


@router.post("/executions/{execution_id}/rerun", summary="Run a failed execution again with the same inputs, for free")
async def rerun(
    door: LimitedDoor,
    execution_id: UUID,
    token: Annotated[str, Query()] = "",
    status_token: Annotated[str, Header()] = "",
    prefer: Annotated[str | None, Header()] = None,
) -> Response:
    """For failures that were not yours, within the time and number that the failed answer offered."""
    started = time.monotonic()
    row = await _mine(door, execution_id, token or status_token)
    async with door.pool.connection() as conn:
        accepted = await execution.rerun(conn, execution_id)
    if not accepted and row.state in ("failed", "declined", "void"):
        return problems.problem(409, "This execution cannot be run again.", "rerun_refused")
    row = await execution.follow(door.pool, door.hub, execution_id, started + patience(prefer).seconds)
    return answers.answer(row, ahead=await _ahead(door, row))


async def _mine(door: Door, execution_id: UUID, token: str) -> Any:
    if not answers.is_token_of(execution_id, token):
        raise NotFound
    async with door.pool.connection() as conn:
        row = await execution.show(conn, execution_id)
    if row is None:
        raise NotFound
    return row


async def _ahead(door: Door, row: Any) -> int:
    if row.state != "queued":
        return 0
    async with door.pool.connection() as conn:
        return await execution.ahead(conn, row.id)


def _conflict(conflict: paywall.Conflict) -> JSONResponse:
    paid = conflict.payment
    receipt = paid and {
        "transaction": paid.transaction,
        "paidUsdc": usdc(paid.amount_atomic),
        "network": paid.network,
    }
    return problems.problem(409, problems.CONFLICT[conflict.code], conflict.code, receipt=receipt)
