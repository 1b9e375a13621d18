"""Serve the creator's provider keys: set, show the state, enable, disable and delete. A key is never returned."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response

from api import documents, records
from api.authentication import KeyOwner
from api.bodies import read_json
from api.door import LimitedDoor
from api.rate_limits import rate
from core import db
from core.accounts import provider_keys
from core.failures import InvalidInput, NotFound
from core.providers import registry as providers
from core.secrets.private import Private

router = APIRouter(prefix="/me", tags=["creators"])

# Each new key is checked at its provider.
SET_RATE = rate("10/minute")
_NO_STORE = {"Cache-Control": "no-store"}

ProviderName = Annotated[
    str, Path(pattern="^[a-z][a-z0-9-]{0,31}$", description="whom calls on it go to, such as openrouter")
]


@router.get(
    "/{provider}-key",
    summary="Your key at a provider",
    response_model=records.Key,
    responses=documents.problems(401, 403, 404, 429, 503),
)
async def show_key(door: LimitedDoor, creator: KeyOwner, provider: ProviderName) -> Response:
    """The key's masked form and its state; 404 if there is none."""
    async with db.acting_for(door.pool, creator.id) as conn:
        state = await provider_keys.key_state(conn, creator.id, providers.find(provider))
    if state is None:
        raise NotFound
    return _answer(state)


@router.put(
    "/{provider}-key",
    summary="Set or switch your key at a provider",
    response_model=records.Key,
    responses=documents.problems(400, 401, 403, 404, 413, 415, 429, 503),
    openapi_extra=records.NEW_KEY,
)
async def set_key(request: Request, door: LimitedDoor, creator: KeyOwner, provider: ProviderName) -> Response:
    """`key` is checked at the provider and stored sealed; `enabled` enables or disables the stored key."""
    body, provider_row = await read_json(request), providers.find(provider)
    if not provider_row.is_configured:
        raise NotFound
    fields = body if isinstance(body, dict) else {}
    key, enabled = fields.get("key"), fields.get("enabled")
    is_well_formed = (
        isinstance(key, str | None) and isinstance(enabled, bool | None) and {*fields} <= {"key", "enabled"}
    )
    if not is_well_formed or (key is None and enabled is None):
        raise InvalidInput({"body": "must be an object with key, or enabled, or both"})
    if key is not None:
        await door.count_request(SET_RATE, f"key:{creator.id}")
        await provider_keys.set_key(door.pool, creator.id, Private(key), provider_row)
    async with db.acting_for(door.pool, creator.id) as conn:
        if enabled is not None:
            await provider_keys.enable_key(conn, creator.id, enabled, provider_row)
        state = await provider_keys.key_state(conn, creator.id, provider_row)
    if state is None:
        raise NotFound
    return _answer(state)


@router.delete(
    "/{provider}-key",
    summary="Forget your key at a provider",
    response_model=records.Forgotten,
    responses=documents.problems(401, 403, 404, 429, 503),
)
async def delete_key(door: LimitedDoor, creator: KeyOwner, provider: ProviderName) -> Response:
    """Prompts that need this key cannot be bought until you set another. Succeeds also if there was none."""
    async with db.acting_for(door.pool, creator.id) as conn:
        affected = await provider_keys.delete_key(conn, creator.id, providers.find(provider))
    return JSONResponse({"affectedResources": affected}, headers=_NO_STORE)


def _answer(state: provider_keys.KeyState) -> Response:
    document: dict[str, object] = {
        "label": state.label,
        "enabled": state.enabled,
        "rejectedAt": state.rejected_at and state.rejected_at.isoformat(),
        "checkedAt": state.checked_at.isoformat(),
        "limitRemainingUsd": None if state.limit_remaining_usd is None else f"{state.limit_remaining_usd:f}",
        "expiresAt": state.expires_at and state.expires_at.isoformat(),
        "obstacle": state.obstacle,
        "advice": state.sentence,
    }
    return JSONResponse(document, headers=_NO_STORE)
