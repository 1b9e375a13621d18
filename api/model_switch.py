"""Move a creator's prompt to another model, in one call."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api import documents
from api.authentication import Publisher
from api.bodies import Name, read_json
from api.door import LimitedDoor
from core.amounts import usdc
from core.executions import model_switch
from core.failures import InvalidInput
from core.payments import offers

router = APIRouter(prefix="/me", tags=["creators"])


class ToSwitch(BaseModel):
    """The new model, and the inputs of the test."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = Field(description="its id in the catalog", examples=["openai/gpt-5-mini"])
    inputs: dict[str, object] = Field(
        default={}, description="of the test; a required one that is missing is its own description, or name"
    )


class OwnTest(BaseModel):
    """What the new model answered to your test."""

    executionId: str
    costUsd: str | None = Field(description="what the provider billed; null if it did not say")
    result: dict[str, object] = Field(description="the answer, as a buyer gets it")


class Switched(BaseModel):
    """Your prompt on its new model: money in US dollars or USDC, as exact decimals."""

    slug: str
    url: str
    version: int
    model: str
    previousModel: str
    priceUsdc: str
    priceFloorUsdc: str = Field(description="the lowest price that is no certain loss")
    worstCostUsd: str = Field(description="the most that a call can cost now")
    previousWorstCostUsd: str = Field(description="the most that a call could cost before")
    warnings: list[str]
    test: OwnTest


_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": ToSwitch.model_json_schema()}}}}


@router.post(
    "/resources/{slug}/switch",
    summary="Move your resource to another model, after a test",
    response_model=Switched,
    responses=documents.problems(400, 401, 403, 404, 409, 413, 415, 429, 503),
    openapi_extra=_BODY,
)
async def switch(request: Request, door: LimitedDoor, creator: Publisher, slug: Name) -> Response:
    """Answers when the test is over. You pay for it; without an answer nothing changes."""
    body = await read_json(request)
    try:
        asked = ToSwitch.model_validate(body)
    except ValidationError:
        asked = None
    if asked is None:
        raise InvalidInput({"body": "must be an object with model, a text, and optionally inputs, an object"})
    done = await model_switch.switch(door.pool, door.hub, creator.id, slug, asked.model, asked.inputs)
    now, before = done.candidate.version, done.candidate.current
    return JSONResponse(
        {
            "slug": slug,
            "url": offers.url_of(now),
            "version": now.number,
            "model": now.model_id,
            "previousModel": before.model_id,
            "priceUsdc": usdc(now.price_atomic),
            "priceFloorUsdc": usdc(done.candidate.price_floor_atomic),
            "worstCostUsd": f"{now.worst_cost_usd:f}",
            "previousWorstCostUsd": f"{before.worst_cost_usd:f}",
            "warnings": list(done.candidate.warnings),
            "test": {
                "executionId": str(done.execution_id),
                "costUsd": None if done.cost_usd is None else f"{done.cost_usd:f}",
                "result": done.answer,
            },
        },
        headers={"Cache-Control": "no-store"},
    )
