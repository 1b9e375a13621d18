"""Keys at providers: how each stands, connecting one with a click, or pasting it."""

from datetime import datetime
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.authentication import Identity, KeyOwner
from api.door import Door, LimitedDoor
from api.key_connect import begin_connection
from api.keys import SET_RATE, ProviderName
from api.pages.desk.visits import DESK, back, desk_page
from api.pages.forms import read_form
from core import db
from core.accounts import authentication, key_cards, key_log, provider_keys
from core.failures import InvalidInput, NotFound
from core.providers import registry as providers
from core.providers.registry import OPENROUTER
from core.secrets.private import Private

router = APIRouter(include_in_schema=False)

KEYS: Final = f"{DESK}/keys"
_LOG_LINES: Final = 20


@router.get(KEYS)
async def show(request: Request, door: LimitedDoor, _creator: KeyOwner, identity: Identity) -> Response:
    """A card for each provider; never a key."""
    return await _answer(request, door, identity, {})


@router.post(f"{KEYS}/openrouter/connect")
async def connect(request: Request, door: LimitedDoor, creator: KeyOwner, identity: Identity) -> Response:
    """Go to OpenRouter and agree there; the browser comes back with the key connected.

    It goes there by itself, but not by a redirect: our policy lets no form lead to another server.
    """
    begun, remember = await begin_connection(door, creator.id)
    response = desk_page(request, identity, "connect.html", address=begun.url)
    remember(response)
    return response


@router.post(f"{KEYS}/{{provider}}")
async def change(
    request: Request, door: LimitedDoor, creator: KeyOwner, identity: Identity, provider: ProviderName
) -> Response:
    """Set a key that was pasted, switch the stored one on or off, or forget it."""
    form, row = await read_form(request), providers.find(provider)
    match form.text("do"):
        case "set":
            return await _set(request, door, identity, row, form.text("key"))
        case "on" | "off" as wanted:
            async with db.acting_for(door.pool, creator.id) as conn:
                await provider_keys.enable_key(conn, creator.id, wanted == "on", row)
            return back(KEYS, f"key-{wanted}")
        case "delete":
            async with db.acting_for(door.pool, creator.id) as conn:
                await provider_keys.delete_key(conn, creator.id, row)
            return back(KEYS, "key-deleted")
    raise InvalidInput({"do": "must be set, on, off or delete"})


async def _set(
    request: Request, door: Door, identity: authentication.Identity, provider: providers.Provider, key: str
) -> Response:
    if not provider.is_configured:
        raise NotFound
    await door.count_request(SET_RATE, f"key:{identity.account.id}")
    try:
        await provider_keys.set_key(door.pool, identity.account.id, Private(key), provider)
    except InvalidInput as refusal:
        return await _answer(request, door, identity, {provider.name: next(iter(refusal.fields.values()))})
    return back(KEYS, "key-set")


async def _answer(request: Request, door: Door, identity: authentication.Identity, wrong: dict[str, str]) -> Response:
    account_id: UUID = identity.account.id
    async with db.acting_for(door.pool, account_id) as conn:
        cards = await key_cards.key_cards(conn, account_id)
        logs = {card.provider.name: await key_log.key_log(conn, account_id, card.provider) for card in cards}
    shown: dict[str, list[tuple[datetime, str, str, str]]] = {
        name: [(row.at, row.event, row.actor, row.label) for row in log.changes[:_LOG_LINES]]
        for name, log in logs.items()
    }
    return desk_page(
        request,
        identity,
        "keys.html",
        status=400 if wrong else 200,
        cards=cards,
        logs=shown,
        wrong=wrong,
        connectable=OPENROUTER.name,
    )
