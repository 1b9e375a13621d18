"""What a creator should know, and where they and their programs are told: notices, addresses, webhooks."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.authentication import Creator, Identity, Publisher
from api.door import Door, LimitedDoor
from api.notices import ADD_RATE
from api.pages.desk.visits import DESK, back, desk_page
from api.pages.forms import read_form
from api.webhooks import WEBHOOK_RATE
from core import db
from core.accounts import authentication
from core.failures import InvalidInput
from core.notices import addresses, messages, posting, rules, webhooks
from core.secrets.private import Private

router = APIRouter(include_in_schema=False)

NOTICES: Final = f"{DESK}/notices"
_MOST: Final = 30


@router.get(NOTICES)
async def show(request: Request, door: LimitedDoor, _creator: Creator, identity: Identity) -> Response:
    """The newest notices, the addresses, and the webhooks; never their secrets."""
    return await _answer(request, door, identity)


@router.post(f"{NOTICES}/addresses")
async def add_address(request: Request, door: LimitedDoor, creator: Publisher, identity: Identity) -> Response:
    """Be told at another address, which gets a trial message."""
    form = await read_form(request)
    await door.count_request(ADD_RATE, f"notice-address:{creator.id}")
    try:
        await addresses.add(door.pool, creator.id, Private(form.text("url")), form.text("name"))
    except InvalidInput as refusal:
        return await _answer(request, door, identity, wrong=_under("address", refusal))
    return back(NOTICES, "asked")


@router.post(f"{NOTICES}/addresses/{{address_id}}/remove")
async def remove_address(door: LimitedDoor, creator: Publisher, address_id: UUID) -> Response:
    """Be told there no more."""
    async with db.acting_for(door.pool, creator.id) as conn:
        await addresses.remove(conn, creator.id, address_id)
    return back(NOTICES, "removed")


@router.post(f"{NOTICES}/webhooks")
async def add_webhook(request: Request, door: LimitedDoor, creator: Publisher, identity: Identity) -> Response:
    """Tell a program. Its secret is on the page that answers, and on no other."""
    form = await read_form(request)
    await door.count_request(WEBHOOK_RATE, f"webhook:{creator.id}")
    try:
        async with db.acting_for(door.pool, creator.id) as conn:
            added, secret = await webhooks.add(
                conn,
                creator.id,
                form.text("url"),
                form.list("event"),
                form.text("name"),
                webhook_id=form.once(),
            )
    except InvalidInput as refusal:
        return await _answer(request, door, identity, wrong=_under("webhook", refusal))
    return await _answer(request, door, identity, secret=(added.name, secret))


@router.post(f"{NOTICES}/webhooks/{{webhook_id}}/rotate")
async def rotate(
    request: Request, door: LimitedDoor, creator: Publisher, identity: Identity, webhook_id: UUID
) -> Response:
    """Give it a new secret, which is on the page that answers, and on no other."""
    async with db.acting_for(door.pool, creator.id) as conn:
        secret = await webhooks.rotate(conn, creator.id, webhook_id)
        name = next(one.name for one in await webhooks.listing(conn, creator.id) if one.id == webhook_id)
    return await _answer(request, door, identity, secret=(name, secret))


@router.post(f"{NOTICES}/webhooks/{{webhook_id}}/test")
async def trial(door: LimitedDoor, creator: Publisher, webhook_id: UUID) -> Response:
    """Send it a trial message at once."""
    await door.count_request(WEBHOOK_RATE, f"webhook:{creator.id}")
    is_taken = await posting.try_webhook(door.pool, creator.id, webhook_id)
    return back(NOTICES, "taken" if is_taken else "untaken")


@router.post(f"{NOTICES}/webhooks/{{webhook_id}}/remove")
async def remove_webhook(door: LimitedDoor, creator: Publisher, webhook_id: UUID) -> Response:
    """Tell it no more."""
    async with db.acting_for(door.pool, creator.id) as conn:
        await webhooks.remove(conn, creator.id, webhook_id)
    return back(NOTICES, "removed")


async def _answer(
    request: Request,
    door: Door,
    identity: authentication.Identity,
    *,
    wrong: Mapping[str, str] | None = None,
    secret: tuple[str, Private[str]] | None = None,
) -> Response:
    account_id = identity.account.id
    async with db.acting_for(door.pool, account_id) as conn:
        found = await rules.listing(conn, account_id, _MOST)
        told_at = await addresses.listing(conn, account_id)
        programs = await webhooks.listing(conn, account_id)
    return desk_page(
        request,
        identity,
        "notices.html",
        status=400 if wrong else 200,
        notices=[
            (row, messages.message_for(row.rule, row.handle, row.slug, row.facts, to_operator=False)) for row in found
        ],
        addresses=told_at,
        webhooks=programs,
        events=webhooks.EVENTS,
        wrong=wrong or {},
        once=uuid4(),
        secret=secret and {"name": secret[0], "text": secret[1].reveal()},
    )


def _under(form: str, refusal: InvalidInput) -> dict[str, str]:
    return {f"{form}.{name}": sentence for name, sentence in refusal.fields.items()}
