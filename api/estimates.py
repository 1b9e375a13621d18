"""Estimate for a creator what a draft costs, before it is published."""

from decimal import Decimal, InvalidOperation

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from api import documents
from api.authentication import Publisher
from api.bodies import read_json
from api.door import LimitedDoor
from core import db
from core.amounts import usdc
from core.failures import InvalidInput
from core.resources import draft as drafts
from core.resources import estimates
from core.resources.estimates import Cost

router = APIRouter(tags=["creators"])


class ModelCost(BaseModel):
    """What one call costs you on one model: US dollars as exact decimals."""

    model: str
    leastUsd: str = Field(description="what nearly every call costs at least")
    typicalUsd: str = Field(description="what a usual call costs")
    worstUsd: str = Field(description="the most that a call can cost")
    priceUsdc: str | None = Field(description="the lowest price at which a usual call leaves the margin")
    safePriceUsdc: str | None = Field(description="the lowest price at which the dearest call leaves it")


class Estimated(BaseModel):
    """What your draft costs on its model, and on up to five cheaper ones that can serve it."""

    basis: str = Field(description="of typical: usage (your calls of the last 30 days) or estimate")
    calls: int = Field(description="how many calls were measured")
    typicalError: str | None = Field(
        description="of an estimate: half of the logged calls cost at most this share more or less; null without any"
    )
    typicalErrorCalls: int = Field(description="how many logged calls say so")
    maxOutputTokens: int = Field(
        description="of your draft; if it has none, the smaller of the default, 4096, and what its model can answer"
    )
    inputTokens: str
    outputTokens: str
    onItsModel: ModelCost
    cheaper: list[ModelCost] = Field(description="recommended ones first, then the newest")


class ToEstimate(BaseModel):
    """A draft as you would publish it, and the margin you want."""

    draft: dict[str, object] = Field(description="the fields of docs/creators.md")
    margin: str | None = Field(default=None, description="the share of the price to keep", examples=["0.3"])


_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": ToEstimate.model_json_schema()}}}}


@router.post(
    "/estimate",
    summary="What your draft costs, here and on cheaper models",
    response_model=Estimated,
    responses=documents.problems(400, 401, 403, 413, 415, 429, 503),
    openapi_extra=_BODY,
)
async def estimate(request: Request, door: LimitedDoor, creator: Publisher) -> Response:
    """Nothing is published, and no model is called."""
    body = await read_json(request)
    fields = body if isinstance(body, dict) else {}
    draft, margin = fields.get("draft"), fields.get("margin")
    if not isinstance(draft, dict) or not isinstance(margin, str | None) or not {*fields} <= {"draft", "margin"}:
        raise InvalidInput({"body": "must be an object with draft, an object, and optionally margin, as text"})
    async with db.acting_for(door.pool, creator.id) as conn:
        done = await estimates.estimate(conn, creator.id, drafts.read(draft), margin=_share(margin))
    return JSONResponse(
        {
            "basis": done.usual.basis,
            "calls": done.usual.calls,
            "typicalError": None if done.usual.error is None else f"{done.usual.error:f}",
            "typicalErrorCalls": done.usual.error_calls,
            "maxOutputTokens": done.max_output_tokens,
            "inputTokens": f"{done.usual.input_tokens:f}",
            "outputTokens": f"{done.usual.output_tokens:f}",
            "onItsModel": _cost(done.on_its_model),
            "cheaper": [_cost(one) for one in done.cheaper],
        }
    )


def _share(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _cost(cost: Cost) -> dict[str, str | None]:
    return {
        "model": cost.model_id,
        "leastUsd": f"{cost.least_usd:f}",
        "typicalUsd": f"{cost.typical_usd:f}",
        "worstUsd": f"{cost.worst_usd:f}",
        "priceUsdc": None if cost.price_atomic is None else usdc(cost.price_atomic),
        "safePriceUsdc": None if cost.safe_price_atomic is None else usdc(cost.safe_price_atomic),
    }
