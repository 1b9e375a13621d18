"""Publish several prompts of a creator in one request: all of them, or none."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api import documents
from api.authentication import Publisher
from api.bodies import read_json
from api.door import LimitedDoor
from api.resources import CHANGE_RATE
from core import db
from core.amounts import usdc
from core.failures import InvalidInput
from core.payments import offers
from core.resources import batch

router = APIRouter(prefix="/me", tags=["creators"])


class ToPublish(BaseModel):
    """The prompts, and how to publish them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    documents: list[dict[str, object]] = Field(
        min_length=1, max_length=batch.MOST, description="each as for `POST /me/resources`"
    )
    draft: bool = Field(default=False, description="only save them as drafts")
    only_new: bool = Field(default=False, description="only save them as drafts, and refuse a slug that is taken")
    dry_run: bool = Field(default=False, description="change nothing, and say everything that this would")
    allow_loss: bool = Field(default=False, description="also if nearly every call costs more than the price")
    allow_breaking: bool = Field(default=False, description="also if requests that buyers send today would be refused")


class Kept(BaseModel):
    """What became of a prompt."""

    slug: str
    url: str
    resourceId: str
    versionId: str
    version: int
    priceUsdc: str
    worstCostUsd: str = Field(description="the most that a call can cost")
    warnings: list[str]
    isNew: bool = Field(description="false if it was so already")
    obstacle: str | None = Field(description="why it is not sold now, such as key_missing; null if it is")


_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": ToPublish.model_json_schema()}}}}


@router.post(
    "/publish",
    summary="Put prompts on sale, or save them as drafts: all or none",
    response_model=list[Kept],
    responses=documents.problems(400, 401, 403, 413, 415, 429, 503),
    openapi_extra=_BODY,
)
async def publish(request: Request, door: LimitedDoor, creator: Publisher) -> Response:
    """New versions of those that you sell already. To repeat it changes nothing. `fields` of a 400 begin with
    `documents.N`, counted from 0.
    """
    body = await read_json(request)
    try:
        asked = ToPublish.model_validate(body)
    except ValidationError:
        asked = None
    if asked is None:
        sentence = f"must be an object with documents, a list of 1 to {batch.MOST} objects, and perhaps"
        raise InvalidInput({"body": f"{sentence} draft, only_new, dry_run, allow_loss and allow_breaking"})
    for _ in asked.documents:
        await door.count_request(CHANGE_RATE, f"change:{creator.id}")
    async with db.acting_for(door.pool, creator.id) as conn, conn.transaction(force_rollback=asked.dry_run):
        try:
            kept = await batch.keep(
                conn,
                creator.id,
                asked.documents,
                as_drafts=asked.draft,
                only_new=asked.only_new,
                allow_loss=asked.allow_loss,
                allow_breaking=asked.allow_breaking,
            )
        except InvalidInput as refusal:
            fields = {f"documents.{field}": sentence for field, sentence in refusal.fields.items()}
        else:
            return JSONResponse([_kept(one) for one in kept], headers={"Cache-Control": "no-store"})
        raise InvalidInput(fields)


def _kept(one: batch.Kept) -> dict[str, object]:
    version = one.version
    return {
        "slug": version.slug,
        "url": offers.url_of(version),
        "resourceId": str(version.resource_id),
        "versionId": str(version.version_id),
        "version": version.number,
        "priceUsdc": usdc(version.price_atomic),
        "worstCostUsd": f"{one.worst_cost_usd:f}",
        "warnings": list(one.warnings),
        "isNew": one.is_new,
        "obstacle": one.obstacle,
    }
