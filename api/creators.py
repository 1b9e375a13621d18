"""Serve a creator's resources: the list, and free tests."""

import time
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from api import answers, documents
from api.authentication import Creator as Creator
from api.authentication import Publisher
from api.bodies import Name, patience, read_json
from api.door import LimitedDoor
from core import db
from core.amounts import usdc
from core.executions import lifecycle
from core.executions import views as execution_views
from core.observability import tracing
from core.payments import offers
from core.resources import departures, readiness
from core.resources import versions as resource_versions

router = APIRouter(prefix="/me", tags=["creators"])


@router.get(
    "/resources",
    summary="What you sell",
    response_model=list[documents.Sold],
    responses=documents.problems(401, 403, 429, 503),
)
async def resources(door: LimitedDoor, creator: Creator) -> Response:
    """Your resources, newest version each, without templates."""
    async with db.acting_for(door.pool, creator.id) as conn:
        versions = await resource_versions.listing(conn, creator.id)
        leaving = await departures.departures(conn, creator.id)
    return JSONResponse(
        [
            {
                "slug": version.slug,
                "url": offers.url_of(version),
                "version": version.number,
                "title": version.title,
                "model": version.model_id,
                "priceUsdc": usdc(version.price_atomic),
                "archived": version.archived,
                "modelNotice": leaving.get(version.slug),
            }
            for version in versions
        ]
    )


@router.post(
    "/resources/{slug}/test",
    summary="Run your own resource for free",
    responses=documents.EXECUTION | documents.problems(400, 401, 403, 413, 415),
    openapi_extra=documents.INPUTS,
)
async def try_out(
    request: Request,
    door: LimitedDoor,
    creator: Publisher,
    slug: Name,
    prefer: Annotated[list[str] | None, Header()] = None,
) -> Response:
    """Runs like a paid call and is logged as a test with amount 0. You pay for the model as always."""
    started, began, wait = time.monotonic(), time.time_ns(), patience(prefer)
    async with db.acting_for(door.pool, creator.id) as conn:
        version = await readiness.resolve(conn, creator.handle, slug)
    body = await read_json(request, resource_versions.body_limit(version))
    async with db.acting_for(door.pool, creator.id) as conn:
        inputs = resource_versions.validate_inputs(version, {} if body is None else body)
        await readiness.readiness(conn, version)
        test = lifecycle.NewExecution(version, inputs)
        await lifecycle.create(conn, [test])
    row = await execution_views.follow(door.pool, door.hub, test.id, started + wait.seconds)
    response = answers.answer(row)
    facts: dict[str, tracing.Fact] = {"resource": f"@{creator.handle}/{slug}", "status": response.status_code}
    tracing.record("test", test.id, began, facts, is_root=True)
    return response
