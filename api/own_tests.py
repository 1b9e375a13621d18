"""Run a creator's own prompt for free, before it is sold or after."""

import time
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response

from api import answers, conditional, documents, resource_records, streams
from api.authentication import Publisher
from api.bodies import Name, patience, read_json
from api.door import LimitedDoor
from api.resources import VersionQuery, number_of
from core import db
from core.accounts import idempotency
from core.amounts import usdc
from core.executions import own_tests
from core.executions import views as execution_views
from core.observability import tracing
from core.resources import editing, versions
from core.resources.versions import Version

router = APIRouter(prefix="/me", tags=["creators"])


@router.post(
    "/resources/{slug}/test",
    summary="Run your own resource for free",
    responses=documents.EXECUTION | documents.problems(400, 401, 403, 409, 413, 415),
    openapi_extra=documents.INPUTS | {"parameters": [resource_records.KEY]},
)
async def try_out(
    request: Request,
    door: LimitedDoor,
    creator: Publisher,
    slug: Name,
    version: VersionQuery = "",
    prefer: Annotated[list[str] | None, Header()] = None,
) -> Response:
    """Your draft, or what is on offer if there is none. Runs like a paid call and is logged as a test with amount 0.

    You pay for the model as always. With the answer come what it cost, what the price leaves, and the time it took.
    With `Accept: text/event-stream`, progress and text come as events, as to a buyer.
    """
    started, began, wait = time.monotonic(), time.time_ns(), patience(prefer)
    async with db.acting_for(door.pool, creator.id) as conn:
        tried = (await editing.find(conn, creator.id, slug, number=number_of(version))).version
    body = await read_json(request, versions.body_limit(tried))

    is_streamed = streams.are_wanted(request)

    async def begin(conn: db.Connection) -> idempotency.Answer:
        test = await own_tests.begin(conn, tried, {} if body is None else body, is_streamed=is_streamed)
        return idempotency.Answer(202, {"execution": str(test.id), "version": str(tried.version_id)})

    # A repeated request is answered as the first one, which may still run.
    async with db.acting_for(door.pool, creator.id) as conn:
        begun = await conditional.once(request, conn, creator, body, begin)
        execution_id = UUID(str(begun.body["execution"]))
        tried = await versions.version(conn, UUID(str(begun.body["version"])))

    async def told(row: execution_views.Execution) -> dict[str, object]:
        async with db.acting_for(door.pool, creator.id) as conn:
            return _told(tried, await own_tests.report(conn, tried, row))

    response: Response
    if is_streamed:
        response = streams.answer(request, door, await execution_views.current(door.pool, execution_id), told)
    else:
        row = await execution_views.follow(door.pool, door.hub, execution_id, started + wait.seconds)
        response = answers.answer(row, more=await told(row) if row.finished_at else {})
    facts: dict[str, tracing.Fact] = {"resource": f"@{creator.handle}/{slug}", "status": response.status_code}
    tracing.record("test", execution_id, began, facts, is_root=True)
    return response


def _told(tried: Version, report: own_tests.Report) -> dict[str, object]:
    cost, markup = (None if usd is None else f"{usd:f}" for usd in (report.cost_usd, report.markup_usd))
    price = usdc(tried.price_atomic)
    test = {
        "version": tried.number,
        "costUsd": cost,
        "markupUsd": markup,
        "priceUsdc": price,
        "sum": None if cost is None else f"model ${cost} + markup ${markup} = ${price}",
        "seconds": report.seconds,
        "modelSeconds": report.model_seconds,
    }
    return {"test": test} | ({"cause": report.cause, "advice": report.advice} if report.cause else {})
