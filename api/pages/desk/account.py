"""A creator's account: tokens, where they are paid, caps, names, and the wallets that may sign in."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.account import Changes, read_changes, store_changes
from api.authentication import Creator, Identity, Owner, Payee, Publisher
from api.door import Door, LimitedDoor
from api.pages.desk.visits import DESK, back, desk_page
from api.pages.forms import Form, read_form
from api.payouts import NetworkName
from api.tokens import ADD_RATE
from core import db
from core.accounts import accounts, authentication, payouts, sessions, tokens
from core.accounts.tokens import SCOPES
from core.failures import Denied, InvalidInput
from core.settings import settings

router = APIRouter(include_in_schema=False)

ACCOUNT: Final = f"{DESK}/account"
_CAPS: Final = ("dailySpendCapUsd", "monthlySpendCapUsd", "mostPerCallUsd")
_CAP_SENTENCE: Final = "must be US dollars with at most six decimals, such as 2.50; empty: no cap of yours"


@router.get(ACCOUNT)
async def show(request: Request, door: LimitedDoor, _creator: Creator, identity: Identity) -> Response:
    """Everything about the account."""
    return await _answer(request, door, identity)


@router.post(f"{ACCOUNT}/tokens")
async def make_token(request: Request, door: LimitedDoor, owner: Owner) -> Response:
    """Make a token, which is on the page that answers, and on no other."""
    form = await read_form(request)
    await door.count_request(ADD_RATE, f"token:{owner.account.id}")
    days = form.text("days")
    fields: dict[str, object] = {"name": form.text("name"), "scopes": form.list("scope")}
    if days:
        fields["days"] = int(days) if days.isdecimal() and len(days) < 10 else days
    try:
        async with db.acting_for(door.pool, owner.account.id) as conn:
            made = await tokens.create(
                conn, owner.account.id, tokens.read(fields), not_after=owner.expires_at, token_id=form.once()
            )
    except InvalidInput as refusal:
        return await _answer(request, door, owner, wrong=_under("token", refusal), typed=form)
    return await _answer(request, door, owner, token=made.token)


@router.post(f"{ACCOUNT}/tokens/{{token_id}}/revoke")
async def revoke_token(door: LimitedDoor, identity: Identity, token_id: UUID) -> Response:
    """End a token at once."""
    if token_id != identity.token_id:
        identity.require(*SCOPES)
    async with db.acting_for(door.pool, identity.account.id) as conn:
        await tokens.revoke(conn, identity.account.id, token_id)
    return back(ACCOUNT, "revoked")


@router.post(f"{ACCOUNT}/payouts")
async def change_payout(request: Request, door: LimitedDoor, _payee: Payee, identity: Identity) -> Response:
    """Be paid elsewhere: it takes a sign-in of the last five minutes, and a while until it is in force."""
    form = await read_form(request)
    try:
        identity.require_fresh()
        async with db.acting_for(door.pool, identity.account.id) as conn:
            await payouts.change(conn, identity.account.id, form.text("network"), form.text("address"))
    except InvalidInput as refusal:
        return await _answer(request, door, identity, wrong=_under("payout", refusal), typed=form)
    except Denied:
        stale = {"payout.address": "takes a sign-in of the last five minutes: sign out, sign in again, and repeat it"}
        return await _answer(request, door, identity, wrong=stale, typed=form)
    return back(ACCOUNT, "moved")


@router.post(f"{ACCOUNT}/payouts/{{network}}/cancel")
async def cancel_payout(door: LimitedDoor, creator: Payee, network: NetworkName) -> Response:
    """Stay with the address in force."""
    async with db.acting_for(door.pool, creator.id) as conn:
        await payouts.cancel(conn, creator.id, network)
    return back(ACCOUNT, "cancelled")


@router.post(f"{ACCOUNT}/settings")
async def change_settings(request: Request, door: LimitedDoor, creator: Publisher, identity: Identity) -> Response:
    """The name that people read, caps, and the weekly digest."""
    form = await read_form(request)
    fields: dict[str, object] = {name: form.text(name) or None for name in _CAPS}
    fields |= {"displayName": form.text("displayName"), "weeklyDigest": form.chosen("weeklyDigest")}
    try:
        changes: Changes = read_changes(fields)
        async with db.acting_for(door.pool, creator.id) as conn:
            await store_changes(conn, creator.id, changes)
    except InvalidInput as refusal:
        wrong = _under("settings", refusal)
        wrong |= {f"settings.{name}": _CAP_SENTENCE for name in _CAPS if name in refusal.fields}
        return await _answer(request, door, identity, wrong=wrong, typed=form)
    return back(ACCOUNT, "kept")


async def _answer(
    request: Request,
    door: Door,
    identity: authentication.Identity,
    *,
    wrong: Mapping[str, str] | None = None,
    token: str | None = None,
    typed: Form | None = None,
) -> Response:
    account_id, config = identity.account.id, settings()
    async with db.acting_for(door.pool, account_id) as conn:
        profile = await accounts.profile(conn, account_id)
        wallets = await sessions.wallets(conn, account_id)
        listed = await tokens.listing(conn, account_id)
        paid_at = await payouts.listing(conn, account_id) if "money" in identity.scopes else None
    return desk_page(
        request,
        identity,
        "account.html",
        status=400 if wrong else 200,
        profile=profile,
        wallets=wallets,
        tokens=listed,
        own_token_id=identity.token_id,
        all_scopes=SCOPES,
        payouts=paid_at,
        networks=config.networks,
        names={network.id: network.label for network in config.networks},
        delay_hours=config.payout_delay_seconds / 3600,
        caps=_CAPS,
        token=token,
        once=uuid4(),
        wrong=wrong or {},
        typed=typed or Form(),
    )


def _under(form: str, refusal: InvalidInput) -> dict[str, str]:
    return {f"{form}.{name}": sentence for name, sentence in refusal.fields.items()}
