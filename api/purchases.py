"""Let a wallet list what it bought, and find each answer again."""

import base64
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from api import documents, problems
from api.answers import receipt_of, url_of
from api.door import LimitedDoor, client_of
from api.pages import negotiation
from api.rate_limits import rate
from core import db
from core.executions import views
from core.failures import InvalidInput
from core.payments import purchases
from core.settings import settings

router = APIRouter(tags=["buyers"])

# A signature of a contract is checked by its chain, which is asked before anybody is known.
_RATE = rate("60/minute")
_NO_STORE = {"Cache-Control": "no-store"}
_ASKED = "Sign the message in PAYMENT-REQUIRED with your wallet, and send it in the header SIGN-IN-WITH-X."


class Bought(BaseModel):
    """A purchase. The bearer of its URL may read the answer, and have it deleted."""

    jobId: str
    resource: str
    version: int
    boughtAt: str = Field(description="UTC")
    state: str = Field(description="`processing`, `succeeded`, `failed` or `deleted`")
    money: str = Field(description="as at the status URL")
    receipt: documents.Receipt | None
    statusUrl: str


class Purchases(BaseModel):
    """What a wallet bought, newest first."""

    purchases: list[Bought]
    next: str | None = Field(description="where the list continues, for ten minutes; null at its end")


@router.get(
    "/purchases",
    summary="What your wallet bought here",
    response_model=Purchases,
    responses={
        402: {
            "description": "A message to sign, in x402's extension sign-in-with-x; nothing is to be paid",
            "content": documents.problems(400)[400]["content"],
            "headers": {"PAYMENT-REQUIRED": documents.header("x402 v2, base64 of JSON, without accepts")},
        },
        **documents.problems(400, 429, 503),
    },
)
async def show(
    request: Request,
    door: LimitedDoor,
    sign_in_with_x: Annotated[str, Header(description="the signed message, base64 of JSON")] = "",
    cursor: Annotated[str, Query(max_length=1_000, description="from `next` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Response:
    """Without a signature: 402 with a message to sign. A signature lists once; `next` leads on."""
    if negotiation.wants_page(request) and not (cursor or sign_in_with_x):
        return negotiation.to_shop()
    if cursor:
        reader = purchases.read_cursor(cursor)
    elif sign_in_with_x:
        await door.count_request(_RATE, f"purchases:{client_of(request)}")
        try:
            reader = await purchases.prove(door.pool, door.clients.http, sign_in_with_x)
        except InvalidInput as wrong:
            return _challenge(f"SIGN-IN-WITH-X: {next(iter(wrong.fields.values()))}.")
    else:
        return _challenge(_ASKED)
    async with db.autocommit(door.pool) as conn:
        rows, following = await purchases.page(conn, reader, limit)
    next_url = None if following is None else f"{settings().public_url}/purchases?limit={limit}&cursor={following}"
    return JSONResponse({"purchases": [_bought(row) for row in rows], "next": next_url}, headers=_NO_STORE)


def _challenge(sentence: str) -> Response:
    required = purchases.challenge(sentence).model_dump_json(by_alias=True, exclude_none=True)
    headers = _NO_STORE | {"PAYMENT-REQUIRED": base64.b64encode(required.encode()).decode()}
    return problems.problem(402, sentence, "signature_required", headers)


def _bought(row: views.Execution) -> dict[str, object]:
    return {
        "jobId": str(row.id),
        "resource": f"{settings().public_url}/@{row.handle}/{row.slug}",
        "version": row.number,
        "boughtAt": db.required(row.claimed_at).isoformat(),
        "state": _state(row),
        "money": views.money_of(row),
        "receipt": receipt_of(row),
        "statusUrl": url_of(row.id),
    }


def _state(row: views.Execution) -> str:
    if row.content_deleted_at is not None:
        return "deleted"
    return {"succeeded": "succeeded", "failed": "failed", "declined": "failed", "void": "failed"}.get(
        row.state, "processing"
    )
