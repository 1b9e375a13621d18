"""Serve a creator's notices, and the addresses that they are sent to."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response

from api import documents, records
from api.authentication import Creator, Publisher
from api.bodies import read_json
from api.door import LimitedDoor
from api.rate_limits import rate
from core import db
from core.failures import InvalidInput
from core.notices import addresses as notice_addresses
from core.notices import messages
from core.notices import rules as notice_rules
from core.secrets.private import Private

router = APIRouter(prefix="/me", tags=["creators"])

_MOST = 100
# Each new address gets a trial message from a process of its own.
ADD_RATE = rate("10/minute")
_NO_STORE = {"Cache-Control": "no-store"}


@router.get(
    "/notices",
    summary="What you should know",
    response_model=list[records.Notice],
    responses=documents.problems(401, 403, 429, 503),
)
async def notices(door: LimitedDoor, creator: Creator) -> Response:
    """The newest notices about your prompts and your key, with their deliveries. At most one a week for each matter."""
    async with db.acting_for(door.pool, creator.id) as conn:
        rows = await notice_rules.listing(conn, creator.id, _MOST)
    return JSONResponse(jsonable_encoder([_notice(row) for row in rows]), headers=_NO_STORE)


@router.get(
    "/notice-addresses",
    summary="Where you are told",
    response_model=list[records.NoticeAddress],
    responses=documents.problems(401, 403, 429, 503),
)
async def addresses(door: LimitedDoor, creator: Creator) -> Response:
    """Your addresses by name; the URLs are not shown again."""
    async with db.acting_for(door.pool, creator.id) as conn:
        rows = await notice_addresses.listing(conn, creator.id)
    return JSONResponse([_address(address) for address in rows], headers=_NO_STORE)


@router.post(
    "/notice-addresses",
    summary="Be told at another address",
    status_code=201,
    response_model=records.NoticeAddress,
    responses=documents.problems(400, 401, 403, 413, 415, 429, 503),
    openapi_extra=records.NEW_NOTICE_ADDRESS,
)
async def add_address(request: Request, door: LimitedDoor, creator: Publisher) -> Response:
    """Notices go to apprise URLs of chat services, ntfy, gotify, mail or any HTTPS receiver of JSON; kept sealed."""
    await door.count_request(ADD_RATE, f"notice-address:{creator.id}")
    body = await read_json(request)
    fields = body if isinstance(body, dict) else {}
    url, name = fields.get("url"), fields.get("name", "")
    if not isinstance(url, str) or not isinstance(name, str) or fields.keys() - {"url", "name"}:
        raise InvalidInput({"body": "must be an object with url, and name if you like"})
    added = await notice_addresses.add(door.pool, creator.id, Private(url), name)
    return JSONResponse(_address(added), status_code=201, headers=_NO_STORE)


@router.delete(
    "/notice-addresses/{address_id}",
    summary="Be told there no more",
    status_code=204,
    response_class=Response,
    responses=documents.problems(401, 403, 404, 429, 503),
)
async def remove_address(door: LimitedDoor, creator: Publisher, address_id: UUID) -> Response:
    """Deliveries to the address stay in the log."""
    async with db.acting_for(door.pool, creator.id) as conn:
        await notice_addresses.remove(conn, creator.id, address_id)
    return Response(status_code=204)


def _address(address: notice_addresses.Address) -> dict[str, object]:
    return {
        "id": str(address.id),
        "name": address.name,
        "scheme": address.scheme,
        "createdAt": address.created_at.isoformat(),
    }


def _notice(row: notice_rules.Notice) -> dict[str, object]:
    message = messages.message_for(row.rule, row.handle, row.slug, row.facts, to_operator=False)
    return {
        "id": row.id,
        "foundAt": row.found_at,
        "rule": row.rule,
        "slug": row.slug,
        "title": message.title,
        "body": message.body,
        "facts": row.facts,
        "sent": [
            {
                "name": delivery["name"],
                "state": delivery["state"],
                "tries": delivery["tries"],
                "reason": delivery["reason"],
                "triedAt": delivery["tried_at"],
            }
            for delivery in row.deliveries
        ],
    }
