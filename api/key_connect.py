"""Connect OpenRouter with one click: begin, and finish when the browser comes back."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, get_args
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, Cookie, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from api import documents, records
from api.authentication import KeyOwner
from api.bodies import read_json
from api.door import Door, LimitedDoor
from api.key_cards import card_of, changed
from api.keys import SET_RATE
from api.pages.negotiation import wants_page
from core import db
from core.accounts import key_connections
from core.failures import InvalidInput
from core.providers.openrouter_oauth import KeyLimits, LimitReset
from core.providers.registry import OPENROUTER
from core.settings import settings

router = APIRouter(prefix="/me/keys/openrouter", tags=["creators"])

_CALLBACK = "/me/keys/openrouter/callback"
_COOKIE = "instant-connect"
_LIMITS = frozenset({"limitUsd", "limitReset", "expiresAt"})
_AMOUNT = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


@router.post(
    "/connect",
    summary="Connect OpenRouter: begin",
    response_model=records.Connection,
    responses=documents.problems(401, 403, 429, 503),
)
async def connect(door: LimitedDoor, creator: KeyOwner) -> Response:
    """Open `authorizationUrl` in the browser that got this answer, and agree there; you may set
    a spend limit and an expiry.

    The browser comes back to `/me/keys/openrouter/callback`, which stores the key. The cookie of this answer lets it.
    """
    begun, remember = await begin_connection(door, creator.id)
    answer = JSONResponse(
        {"authorizationUrl": begun.url, "expiresAt": begun.expires_at.isoformat()},
        headers={"Cache-Control": "no-store"},
    )
    remember(answer)
    return answer


async def begin_connection(door: Door, account_id: UUID) -> tuple[key_connections.Begun, Callable[[Response], None]]:
    """Begin to connect OpenRouter.

    Returns:
        What was begun, and what gives an answer the cookie by which the browser can finish it.

    Raises:
        TooManyRequests: this creator begins too often.
    """
    await door.count_request(SET_RATE, f"key:{account_id}")
    async with db.acting_for(door.pool, account_id) as conn:
        begun = await key_connections.begin(conn, account_id, settings().public_url + _CALLBACK)

    def remember(answer: Response) -> None:
        answer.set_cookie(
            _COOKIE,
            begun.browser,
            max_age=key_connections.SECONDS,
            path=_CALLBACK,
            secure=settings().public_url.startswith("https:"),
            httponly=True,
            samesite="lax",
        )

    return begun, remember


@router.get(
    "/callback",
    summary="Connect OpenRouter: the browser comes back",
    response_model=records.ChangedKey,
    responses=documents.problems(400, 429, 503),
)
async def come_back(
    request: Request,
    door: LimitedDoor,
    state: Annotated[str, Query(max_length=200, description="ours, from the callback URL")] = "",
    code: Annotated[str, Query(max_length=2000, description="OpenRouter's, which works once")] = "",
    browser: Annotated[str | None, Cookie(alias=_COOKIE, include_in_schema=False)] = None,
) -> Response:
    """Exchanges the code, checks the key and stores it. Only the browser that began it can finish it here."""
    own = settings().public_url + _CALLBACK
    if browser is None and wants_page(request) and request.url.hostname == "localhost" != urlsplit(own).hostname:
        # OpenRouter knows a door on this machine as localhost only, and the cookie is of the door's own name.
        return RedirectResponse(f"{own}?{request.url.query}", 303, {"Cache-Control": "no-store"})
    done = await _finish(door, state, code, browser=browser)
    if wants_page(request):
        return RedirectResponse(f"{settings().public_url}/desk/keys?said=connected", 303, {"Cache-Control": "no-store"})
    return done


@router.post(
    "/callback",
    summary="Connect OpenRouter: finish by hand",
    response_model=records.ChangedKey,
    responses=documents.problems(400, 401, 403, 413, 415, 429, 503),
    openapi_extra=records.CONNECTION_CODE,
)
async def finish(request: Request, door: LimitedDoor, creator: KeyOwner) -> Response:
    """For who began a connection outside of the browser: `state` and `code` are in the address that it came back to."""
    body = await read_json(request)
    fields = body if isinstance(body, dict) else {}
    state, code = fields.get("state"), fields.get("code")
    if not isinstance(state, str) or not isinstance(code, str) or {*fields} != {"state", "code"}:
        raise InvalidInput({"body": "must be an object with state and code, both text"})
    return await _finish(door, state, code, account_id=creator.id)


@router.post(
    "/renew",
    summary="Replace your OpenRouter key by a new one with limits",
    response_model=records.ChangedKey,
    responses=documents.problems(400, 401, 403, 404, 413, 415, 429, 503),
    openapi_extra=records.KEY_LIMITS,
)
async def renew(request: Request, door: LimitedDoor, creator: KeyOwner) -> Response:
    """Asks OpenRouter for another key of your account, with a spend limit and an expiry. Delete the old one there."""
    limits = _limits(await read_json(request))
    await door.count_request(SET_RATE, f"key:{creator.id}")
    before = await card_of(door, creator.id, OPENROUTER)
    await key_connections.renew(door.pool, creator.id, settings().public_url + _CALLBACK, limits)
    return await changed(door, creator.id, OPENROUTER, before)


def _limits(body: object) -> KeyLimits:
    """Read limits, and tell all that is wrong at once.

    Raises:
        InvalidInput: names each member.
    """
    if not isinstance(body, dict | None):
        raise InvalidInput({"body": "must be an object"})
    fields = body or {}
    problems = dict.fromkeys(sorted({*fields} - _LIMITS), f"is not known here, only {', '.join(sorted(_LIMITS))}")
    limit, reset, expiry = (fields.get(name) for name in ("limitUsd", "limitReset", "expiresAt"))
    usd, expires_at = _usd(limit), _time(expiry)
    if limit is not None and usd is None:
        problems["limitUsd"] = "must be an amount of US dollars above 0, as text such as 20.00"
    if reset is not None and (reset not in get_args(LimitReset) or limit is None):
        problems["limitReset"] = f"must be one of {', '.join(get_args(LimitReset))}, beside limitUsd"
    if expiry is not None and expires_at is None:
        problems["expiresAt"] = "must be a time to come with its zone, such as 2031-01-31T00:00:00Z"
    if problems:
        raise InvalidInput(problems)
    return KeyLimits(usd, reset, expires_at)


def _usd(value: object) -> Decimal | None:
    return Decimal(value) if isinstance(value, str) and _AMOUNT.fullmatch(value) and Decimal(value) > 0 else None


def _time(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment.astimezone(UTC) if moment and moment.tzinfo and moment > datetime.now(UTC) else None
    except (ValueError, OverflowError):
        return None


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
