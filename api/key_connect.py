"""Connect OpenRouter with one click: begin, and finish when the browser comes back."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Cookie, Query, Request
from fastapi.responses import JSONResponse, Response

from api import documents, records
from api.bodies import read_json
from api.creators import Creator
from api.door import LimitedDoor
from api.key_cards import card_of, changed
from api.keys import SET_RATE
from core import db
from core.accounts import key_connections
from core.failures import InvalidInput
from core.providers.registry import OPENROUTER
from core.settings import settings

router = APIRouter(prefix="/me/keys/openrouter", tags=["creators"])

_CALLBACK = "/me/keys/openrouter/callback"
_COOKIE = "instant-connect"


@router.post(
    "/connect",
    summary="Connect OpenRouter: begin",
    response_model=records.Connection,
    responses=documents.problems(401, 429, 503),
)
async def connect(door: LimitedDoor, creator: Creator) -> Response:
    """Open `authorizationUrl` in the browser that got this answer, and agree there; you may set
    a spend limit and an expiry.

    The browser comes back to `/me/keys/openrouter/callback`, which stores the key. The cookie of this answer lets it.
    """
    await door.count_request(SET_RATE, f"key:{creator.id}")
    async with db.acting_for(door.pool, creator.id) as conn:
        begun = await key_connections.begin(conn, creator.id, settings().public_url + _CALLBACK)
    answer = JSONResponse(
        {"authorizationUrl": begun.url, "expiresAt": begun.expires_at.isoformat()},
        headers={"Cache-Control": "no-store"},
    )
    answer.set_cookie(
        _COOKIE,
        begun.browser,
        max_age=key_connections.SECONDS,
        path=_CALLBACK,
        secure=settings().public_url.startswith("https:"),
        httponly=True,
        samesite="lax",
    )
    return answer


@router.get(
    "/callback",
    summary="Connect OpenRouter: the browser comes back",
    response_model=records.ChangedKey,
    responses=documents.problems(400, 429, 503),
)
async def come_back(
    door: LimitedDoor,
    state: Annotated[str, Query(max_length=200, description="ours, from the callback URL")] = "",
    code: Annotated[str, Query(max_length=2000, description="OpenRouter's, which works once")] = "",
    browser: Annotated[str | None, Cookie(alias=_COOKIE, include_in_schema=False)] = None,
) -> Response:
    """Exchanges the code, checks the key and stores it. Only the browser that began it can finish it here."""
    return await _finish(door, state, code, browser=browser)


@router.post(
    "/callback",
    summary="Connect OpenRouter: finish by hand",
    response_model=records.ChangedKey,
    responses=documents.problems(400, 401, 413, 415, 429, 503),
    openapi_extra=records.CONNECTION_CODE,
)
async def finish(request: Request, door: LimitedDoor, creator: Creator) -> Response:
    """For who began a connection outside of the browser: `state` and `code` are in the address that it came back to."""
    body = await read_json(request)
    fields = body if isinstance(body, dict) else {}
    state, code = fields.get("state"), fields.get("code")
    if not isinstance(state, str) or not isinstance(code, str) or {*fields} != {"state", "code"}:
        raise InvalidInput({"body": "must be an object with state and code, both text"})
    return await _finish(door, state, code, account_id=creator.id)


async def _finish(
    door: LimitedDoor, state: str, code: str, *, browser: str | None = None, account_id: UUID | None = None
) -> Response:
    missing = {name: "is missing" for name, value in (("state", state), ("code", code)) if not value}
    if missing:
        raise InvalidInput(missing)
    taken = await key_connections.take(door.pool, state, browser=browser, account_id=account_id)
    before = await card_of(door, taken.account_id, OPENROUTER)
    await key_connections.finish(door.pool, taken, code)
    return await changed(door, taken.account_id, OPENROUTER, before)
