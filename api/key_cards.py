"""Serve the creator's provider keys as cards: how each stands, what is sold on it, and what happened to it."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from api import documents, records
from api.authentication import KeyOwner
from api.bodies import read_json
from api.door import LimitedDoor
from api.keys import SET_RATE, ProviderName
from core import db
from core.accounts import key_cards, key_log, provider_keys
from core.accounts.key_cards import KeyCard
from core.failures import InvalidInput, NotFound
from core.providers import registry as providers
from core.providers.registry import Provider
from core.secrets.private import Private

router = APIRouter(prefix="/me/keys", tags=["creators"])

_NO_STORE = {"Cache-Control": "no-store"}


@router.get(
    "",
    summary="Your keys, one card for each provider",
    response_model=list[records.KeyCard],
    responses=documents.problems(401, 403, 429, 503),
)
async def show_cards(door: LimitedDoor, creator: KeyOwner) -> Response:
    """How each key stands, what is left under its own limit, and which of your prompts need it; never a key."""
    async with db.acting_for(door.pool, creator.id) as conn:
        cards = await key_cards.key_cards(conn, creator.id)
    return JSONResponse(list(map(_document, cards)), headers=_NO_STORE)


@router.get(
    "/{provider}",
    summary="Your key at a provider, as a card",
    response_model=records.KeyCard,
    responses=documents.problems(401, 403, 404, 429, 503),
)
async def show_card(door: LimitedDoor, creator: KeyOwner, provider: ProviderName) -> Response:
    """The card is there also without a key; 404 if there is no such provider."""
    async with db.acting_for(door.pool, creator.id) as conn:
        card = await key_cards.key_card(conn, creator.id, providers.find(provider))
    if card is None:
        raise NotFound
    return JSONResponse(_document(card), headers=_NO_STORE)


@router.put(
    "/{provider}",
    summary="Set your key at a provider",
    response_model=records.ChangedKey,
    responses=documents.problems(400, 401, 403, 404, 413, 415, 429, 503),
    openapi_extra=records.KEY_TO_SET,
)
async def set_key(request: Request, door: LimitedDoor, creator: KeyOwner, provider: ProviderName) -> Response:
    """The key is checked at the provider and stored sealed. `revives` says which of your prompts are sold again."""
    body, provider_row = _members(await read_json(request), "key"), providers.find(provider)
    if not provider_row.is_configured:
        raise NotFound
    key = body["key"]
    if not isinstance(key, str):
        raise InvalidInput({"key": "must be the key, as text"})
    await door.count_request(SET_RATE, f"key:{creator.id}")
    before = await card_of(door, creator.id, provider_row)
    await provider_keys.set_key(door.pool, creator.id, Private(key), provider_row)
    return await changed(door, creator.id, provider_row, before)


@router.patch(
    "/{provider}",
    summary="Switch your key at a provider on or off",
    response_model=records.ChangedKey,
    responses=documents.problems(400, 401, 403, 404, 413, 415, 429, 503),
    openapi_extra=records.KEY_SWITCH,
)
async def switch_key(request: Request, door: LimitedDoor, creator: KeyOwner, provider: ProviderName) -> Response:
    """While it is off, nothing that needs it is sold. It stays stored."""
    body, provider_row = _members(await read_json(request), "enabled"), providers.find(provider)
    enabled = body["enabled"]
    if not isinstance(enabled, bool):
        raise InvalidInput({"enabled": "must be true or false"})
    before = await card_of(door, creator.id, provider_row)
    async with db.acting_for(door.pool, creator.id) as conn:
        await provider_keys.enable_key(conn, creator.id, enabled, provider_row)
    return await changed(door, creator.id, provider_row, before)


@router.delete(
    "/{provider}",
    summary="Delete your key at a provider",
    response_model=records.ChangedKey,
    responses=documents.problems(401, 403, 404, 429, 503),
)
async def delete_key(door: LimitedDoor, creator: KeyOwner, provider: ProviderName) -> Response:
    """`stops` says which of your prompts are not sold until you set another. Succeeds also if there was none."""
    provider_row = providers.find(provider)
    before = await card_of(door, creator.id, provider_row)
    async with db.acting_for(door.pool, creator.id) as conn:
        await provider_keys.delete_key(conn, creator.id, provider_row)
    return await changed(door, creator.id, provider_row, before)


@router.get(
    "/{provider}/log",
    summary="What happened to your key at a provider",
    response_model=records.KeyLog,
    responses=documents.problems(401, 403, 404, 429, 503),
)
async def show_log(door: LimitedDoor, creator: KeyOwner, provider: ProviderName) -> Response:
    """Each change, with who made it, and how many calls each key was used for on each day (UTC)."""
    provider_row = providers.find(provider)
    async with db.acting_for(door.pool, creator.id) as conn:
        log = await key_log.key_log(conn, creator.id, provider_row)
    if not (provider_row.is_configured or log.changes):
        raise NotFound
    document = {
        "changes": [
            {"at": row.at.isoformat(), "event": row.event, "by": row.actor, "label": row.label} for row in log.changes
        ],
        "uses": [
            {
                "day": row.day.isoformat(),
                "label": row.label,
                "calls": row.calls,
                "lastUsedAt": row.last_used_at.isoformat(),
            }
            for row in log.uses
        ],
    }
    return JSONResponse(document, headers=_NO_STORE)


async def card_of(door: LimitedDoor, account_id: UUID, provider: Provider) -> KeyCard | None:
    """The card as it is now."""
    async with db.acting_for(door.pool, account_id) as conn:
        return await key_cards.key_card(conn, account_id, provider)


async def changed(door: LimitedDoor, account_id: UUID, provider: Provider, before: KeyCard | None) -> Response:
    """Answer with the card as it is now, and the difference to the one before."""
    after = await card_of(door, account_id, provider)
    was, now = before.sold if before else (), after.sold if after else ()
    document = {
        "card": None if after is None else _document(after),
        "stops": [slug for slug in was if slug not in now],
        "revives": [slug for slug in now if slug not in was],
    }
    return JSONResponse(document, headers=_NO_STORE)


def _members(body: object, name: str) -> Mapping[str, object]:
    """Read the body's one member.

    Raises:
        InvalidInput: it is missing, or there are others.
    """
    if not isinstance(body, dict) or name not in body:
        raise InvalidInput({name: "is missing"})
    if others := {*body} - {name}:
        raise InvalidInput(dict.fromkeys(sorted(others), f"is not known here; only {name} is"))
    return body


def _document(card: KeyCard) -> dict[str, object]:
    state = card.state
    return {
        "provider": card.provider.name,
        "title": card.provider.title,
        "health": card.health,
        "obstacle": state.obstacle if state else "key_missing",
        "advice": card.advice,
        "label": state and state.label,
        "enabled": state and state.enabled,
        "setAt": state and _time(state.set_at),
        "checkedAt": state and _time(state.checked_at),
        "rejectedAt": state and _time(state.rejected_at),
        "expiresAt": state and _time(state.expires_at),
        "lastUsedAt": _time(card.last_used_at),
        "limitUsd": state and _usd(state.limit_usd),
        "limitReset": state and state.limit_reset,
        "limitRemainingUsd": state and _usd(state.limit_remaining_usd),
        "products": list(card.products),
        "keysUrl": card.provider.keys_url,
        "creditUrl": card.provider.credit_url,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _usd(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
