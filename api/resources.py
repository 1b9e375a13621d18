"""Serve a creator's own resources: create, read, change, publish, archive, and go back to an earlier version.

POST makes a draft, PUT and PATCH change it, and only publishing puts it on sale.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from api import conditional, documents, resource_records
from api.authentication import Publisher
from api.bodies import Name, read_json
from api.door import Door, LimitedDoor
from api.rate_limits import rate
from core import db
from core.accounts import accounts
from core.amounts import usdc
from core.failures import InvalidInput
from core.payments import offers
from core.resources import document, editing, estimates, readiness
from core.resources.field_errors import nearest

router = APIRouter(prefix="/me/resources", tags=["creators"])
schemas = APIRouter(tags=["creators"])

# Each change keeps another version.
CHANGE_RATE = rate("120/minute")
_FLAGS = ("dry_run", "allow_loss", "allow_breaking")

Number = Annotated[int, Path(ge=1, le=999_999, description="the version")]
VersionQuery = Annotated[
    str,
    Query(
        description="the version; by default your draft, or what is on offer",
        json_schema_extra={"pattern": "^([1-9][0-9]{0,5})?$"},
    ),
]


@schemas.get(
    document.SCHEMA_PATH,
    summary="The form of a prompt's document, as JSON Schema",
    responses=documents.problems(429),
    response_model=dict[str, object],
)
async def schema(_door: LimitedDoor) -> Response:
    """For editors, and for programs that write documents. A file of YAML and a body of JSON are the same document."""
    return JSONResponse(document.schema(), headers={"Cache-Control": "public, max-age=3600"})


@router.post(
    "",
    status_code=201,
    summary="Make a draft of a new resource",
    responses=resource_records.answers(resource_records.Saved, 400, 409, 413, 415, status=201),
    openapi_extra=resource_records.takes(repeatable=True),
)
async def create(request: Request, door: LimitedDoor, creator: Publisher) -> Response:
    """It is stored with a sealed template, and is not for sale before you publish it."""
    values = await _object(request, door, creator)

    async def work(conn: db.Connection) -> dict[str, object]:
        return await _saved(conn, await editing.create(conn, creator.id, values))

    return await conditional.answer_once(request, door, creator, values, work, 201)


@router.get(
    "/{slug}",
    summary="Your resource with its document",
    responses=resource_records.answers(resource_records.Own, 400, 502),
)
async def show(door: LimitedDoor, creator: Publisher, slug: Name, version: VersionQuery = "") -> Response:
    """The template is in it, for you alone. By default it is your draft, or what is on offer if there is none."""
    async with db.acting_for(door.pool, creator.id) as conn:
        resource = await editing.find(conn, creator.id, slug, number=number_of(version))
    return conditional.answer(described(resource) | {"document": editing.document_of(resource)})


@router.put(
    "/{slug}",
    summary="Replace your draft",
    responses=resource_records.answers(resource_records.Saved, 400, 412, 413, 415, 428),
    openapi_extra=resource_records.takes(),
)
async def replace(request: Request, door: LimitedDoor, creator: Publisher, slug: Name) -> Response:
    """The whole document becomes a new version, which is your draft until you publish it. Caps change at once."""
    revisions = conditional.if_match(request, required=True)
    values = await _object(request, door, creator)
    async with db.acting_for(door.pool, creator.id) as conn:
        saved = await editing.replace(conn, creator.id, slug, values, revisions=revisions)
        return conditional.answer(await _saved(conn, saved))


@router.patch(
    "/{slug}",
    summary="Change some fields of your draft",
    responses=resource_records.answers(resource_records.Saved, 400, 412, 413, 415, 428, 502),
    openapi_extra=resource_records.takes(),
)
async def change(request: Request, door: LimitedDoor, creator: Publisher, slug: Name) -> Response:
    """Price, title, tags or any other field; null returns one to its default. What is on offer stays as it is."""
    revisions = conditional.if_match(request, required=True)
    values = await _object(request, door, creator)
    async with db.acting_for(door.pool, creator.id) as conn:
        saved = await editing.change(conn, creator.id, slug, values, revisions=revisions)
        return conditional.answer(await _saved(conn, saved))


@router.post(
    "/{slug}/publish",
    summary="Put your draft on sale",
    responses=resource_records.answers(resource_records.Saved, 400, 409, 412, 413, 415, 502),
    openapi_extra=resource_records.takes(resource_records.Publishing, required=False, repeatable=True),
)
async def publish(request: Request, door: LimitedDoor, creator: Publisher, slug: Name) -> Response:
    """With `dry_run` nothing changes, and the answer, or the 400, is what publishing would say."""
    return await _publish(request, door, creator, slug, None)


@router.post(
    "/{slug}/versions/{number}/offer",
    summary="Put any version on sale, such as the one before",
    responses=resource_records.answers(resource_records.Saved, 400, 409, 412, 413, 415, 502),
    openapi_extra=resource_records.takes(resource_records.Publishing, required=False, repeatable=True),
)
async def offer(request: Request, door: LimitedDoor, creator: Publisher, slug: Name, number: Number) -> Response:
    """Takes effect at once, with the checks of publishing. A draft stays."""
    return await _publish(request, door, creator, slug, number)


@router.post(
    "/{slug}/archive",
    summary="Take your resource off sale",
    responses=resource_records.answers(resource_records.Described, 400, 409, 412),
    openapi_extra={"parameters": resource_records.takes(repeatable=True)["parameters"]},
)
async def archive(request: Request, door: LimitedDoor, creator: Publisher, slug: Name) -> Response:
    """Its slug stays taken. To repeat this changes nothing."""
    return await _switch(request, door, creator, slug, is_archived=True)


@router.post(
    "/{slug}/restore",
    summary="Put your archived resource on sale again",
    responses=resource_records.answers(resource_records.Described, 400, 409, 412),
    openapi_extra={"parameters": resource_records.takes(repeatable=True)["parameters"]},
)
async def restore(request: Request, door: LimitedDoor, creator: Publisher, slug: Name) -> Response:
    """With its last version. To repeat this changes nothing."""
    return await _switch(request, door, creator, slug, is_archived=False)


def described(resource: editing.Resource) -> dict[str, object]:
    """Return what every answer says of a resource."""
    return {
        "slug": resource.row.slug,
        "url": offers.url_of(resource.version),
        "state": resource.state,
        "revision": resource.row.revision,
        "version": resource.version.number,
        "offeredVersion": resource.offered,
        "draftVersion": resource.drafted,
    }


async def _publish(
    request: Request, door: Door, creator: accounts.Account, slug: str, number: int | None
) -> JSONResponse:
    revisions = conditional.if_match(request, required=False)
    body = await read_json(request)
    flags = _flags(body)
    await door.count_request(CHANGE_RATE, f"change:{creator.id}")

    async def work(conn: db.Connection) -> dict[str, object]:
        before = await editing.find(conn, creator.id, slug)
        async with conn.transaction(force_rollback=flags["dry_run"]):
            saved = await editing.publish(
                conn,
                creator.id,
                slug,
                number=number,
                revisions=revisions,
                allow_loss=flags["allow_loss"],
                allow_breaking=flags["allow_breaking"],
            )
            said = await _saved(conn, saved, dry_run=flags["dry_run"])
        # The entity tag, and what a change is made from: a dry run has made no revision.
        return said | {"revision": before.row.revision} if flags["dry_run"] else said

    return await conditional.answer_once(request, door, creator, body, work)


async def _switch(
    request: Request, door: Door, creator: accounts.Account, slug: str, *, is_archived: bool
) -> JSONResponse:
    revisions = conditional.if_match(request, required=False)
    await door.count_request(CHANGE_RATE, f"change:{creator.id}")

    async def work(conn: db.Connection) -> dict[str, object]:
        return described(await editing.switch(conn, creator.id, slug, is_archived=is_archived, revisions=revisions))

    return await conditional.answer_once(request, door, creator, None, work)


async def _saved(conn: db.Connection, saved: editing.Saved, *, dry_run: bool = False) -> dict[str, object]:
    checked, version = saved.checked, saved.resource.version
    obstacle, _ = await readiness.obstacle(conn, version)
    return described(saved.resource) | {
        "isNew": saved.is_new,
        "dryRun": dry_run,
        "priceUsdc": usdc(version.price_atomic),
        "priceFloorUsdc": usdc(estimates.lowest_price_atomic(checked.least_cost_usd)),
        "leastCostUsd": f"{checked.least_cost_usd:f}",
        "typicalCostUsd": f"{checked.costs.typical_usd:f}",
        "realCostUsd": None if checked.costs.real_usd is None else f"{checked.costs.real_usd:f}",
        "worstCostUsd": f"{checked.worst_cost_usd:f}",
        "obstacle": obstacle,
        "warnings": list(checked.warnings),
    }


async def _object(request: Request, door: Door, creator: accounts.Account) -> dict[str, object]:
    await door.count_request(CHANGE_RATE, f"change:{creator.id}")
    body = await read_json(request)
    if not isinstance(body, dict):
        raise InvalidInput({"body": "must be an object: the fields of a prompt"})
    return body


def _flags(body: object) -> dict[str, bool]:
    given = {} if body is None else body
    if not isinstance(given, dict):
        raise InvalidInput({"body": f"must be an object with any of {', '.join(_FLAGS)}, or nothing"})
    wrong = {
        str(name)[:64]: f"is no field here{nearest(str(name), _FLAGS)}"
        if name not in _FLAGS
        else "must be true or false"
        for name, value in given.items()
        if name not in _FLAGS or not isinstance(value, bool)
    }
    if wrong:
        raise InvalidInput(wrong)
    return dict.fromkeys(_FLAGS, False) | given


def number_of(text: str) -> int | None:
    """Read the number of a version from a query; None if it names none.

    Raises:
        InvalidInput: names `version`.
    """
    if text == "":
        return None
    if text.isascii() and text.isdecimal() and len(text) <= 6 and int(text) > 0:
        return int(text)
    raise InvalidInput({"version": "must be the number of a version"})
