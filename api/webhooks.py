"""Serve a creator's webhooks: where their programs are told of sales, failures, pauses and trouble with keys."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response

from api import documents, webhook_records
from api.authentication import Creator, Publisher
from api.bodies import read_json
from api.door import LimitedDoor
from api.rate_limits import rate
from core import db
from core.failures import InvalidInput
from core.notices import posting, webhooks

router = APIRouter(prefix="/me/webhooks", tags=["creators"])

# A trial is posted by a process of its own.
WEBHOOK_RATE = rate("10/minute")
_NO_STORE = {"Cache-Control": "no-store"}
_FIELDS = {"url", "events", "name"}


@router.get(
    "",
    summary="Your webhooks",
    response_model=list[webhook_records.Webhook],
    responses=documents.problems(401, 403, 429, 503),
)
async def listing(door: LimitedDoor, creator: Creator) -> Response:
    """Never their secrets."""
    async with db.acting_for(door.pool, creator.id) as conn:
        rows = await webhooks.listing(conn, creator.id)
    return _answer([webhook_document(row) for row in rows])


@router.post(
    "",
    summary="Tell a program of yours",
    status_code=201,
    response_model=webhook_records.NewWebhook,
    responses=documents.problems(400, 401, 403, 413, 415, 429, 503),
    openapi_extra=webhook_records.WEBHOOK_TO_ADD,
)
async def add(request: Request, door: LimitedDoor, creator: Publisher) -> Response:
    """Messages are signed as Standard Webhooks defines it. The secret is shown only now; nothing is sent yet."""
    await door.count_request(WEBHOOK_RATE, f"webhook:{creator.id}")
    body = await read_json(request)
    fields = body if isinstance(body, dict) else {}
    url, name, events = fields.get("url"), fields.get("name", ""), fields.get("events", list(webhooks.EVENTS))
    is_list = isinstance(events, list) and all(isinstance(event, str) for event in events)
    if not isinstance(url, str) or not isinstance(name, str) or not is_list or fields.keys() - _FIELDS:
        raise InvalidInput({"body": "must be an object with url, and events (a list) and name if you like"})
    async with db.acting_for(door.pool, creator.id) as conn:
        added, secret = await webhooks.add(conn, creator.id, url, events, name)
    return _answer(webhook_document(added) | {"secret": secret.reveal()}, 201)


@router.delete(
    "/{webhook_id}",
    summary="Tell it no more",
    status_code=204,
    response_class=Response,
    responses=documents.problems(401, 403, 404, 429, 503),
)
async def remove(door: LimitedDoor, creator: Publisher, webhook_id: UUID) -> Response:
    """What still waits for it is not sent."""
    async with db.acting_for(door.pool, creator.id) as conn:
        await webhooks.remove(conn, creator.id, webhook_id)
    return Response(status_code=204)


@router.post(
    "/{webhook_id}/test",
    summary="Send a trial message at once",
    response_model=webhook_records.Trial,
    responses=documents.problems(400, 401, 403, 404, 429, 503),
)
async def trial(door: LimitedDoor, creator: Publisher, webhook_id: UUID) -> Response:
    """If it is taken (an answer of 2xx), a webhook that was switched off works again."""
    await door.count_request(WEBHOOK_RATE, f"webhook:{creator.id}")
    return _answer({"taken": await posting.try_webhook(door.pool, creator.id, webhook_id)})


@router.post(
    "/{webhook_id}/rotate",
    summary="Give it a new secret",
    response_model=webhook_records.Secret,
    responses=documents.problems(400, 401, 403, 404, 429, 503),
)
async def rotate(door: LimitedDoor, creator: Publisher, webhook_id: UUID) -> Response:
    """Shown only now. For a day messages are signed with the old one too."""
    async with db.acting_for(door.pool, creator.id) as conn:
        secret = await webhooks.rotate(conn, creator.id, webhook_id)
    return _answer({"secret": secret.reveal()})


def webhook_document(webhook: webhooks.Webhook) -> dict[str, object]:
    """Build what `webhook_records.Webhook` describes."""
    return {
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": list(webhook.events),
        "createdAt": webhook.created_at,
        "deliveredAt": webhook.delivered_at,
        "disabledAt": webhook.disabled_at,
        "waiting": webhook.waiting,
    }


def _answer(document: object, status: int = 200) -> JSONResponse:
    return JSONResponse(jsonable_encoder(document), status_code=status, headers=_NO_STORE)
