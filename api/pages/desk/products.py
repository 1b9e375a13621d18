"""A product on the desk: its state, what stands against it, publishing, going back, and moving to another model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.authentication import Creator, Identity, Publisher
from api.bodies import Name
from api.door import Door, LimitedDoor
from api.offers import Offered
from api.pages.desk.draft_problems import Problem, in_words
from api.pages.desk.visits import DESK, back, desk_page
from api.pages.forms import read_form
from api.pages.products import product_page
from api.resources import CHANGE_RATE, Number
from core import db
from core.accounts import authentication
from core.catalog import search as catalog
from core.executions import model_switch
from core.failures import Failure, InvalidInput, OwnTestRefused, SwitchFailed
from core.payments import offers
from core.resources import departures, document, editing, estimates, readiness, versions
from core.resources.obstacles import ADVICE

router = APIRouter(include_in_schema=False)

_OWN: Final = f"{DESK}/products/{{slug}}"


@dataclass(frozen=True, slots=True)
class Successor:
    """A model to switch to, beside the one that is leaving.

    Attributes:
        model: as the catalog has it now.
        typical_usd: what a usual call of this prompt costs on it; None if the prompt cannot run there.
        change: of that, against the model now, in percent; None if one of the two is unknown.
    """

    model: catalog.ListedModel
    typical_usd: Decimal | None
    change: int | None


@dataclass(frozen=True, slots=True)
class Draft:
    """What publishing the draft would say now.

    Attributes:
        problems: what prevents it; empty if nothing.
        warnings: sentences about what may be unintended.
    """

    problems: Sequence[Problem]
    warnings: Sequence[str]


@router.get(_OWN)
async def show(request: Request, door: LimitedDoor, _creator: Creator, identity: Identity, slug: Name) -> Response:
    """A product, with all its versions."""
    return await _answer(request, door, identity, slug)


@router.post(f"{_OWN}/publish")
async def publish(request: Request, door: LimitedDoor, _creator: Publisher, identity: Identity, slug: Name) -> Response:
    """Put the draft on sale."""
    return await _publish(request, door, identity, slug, None)


@router.post(f"{_OWN}/versions/{{number}}/offer")
async def offer(
    request: Request, door: LimitedDoor, _creator: Publisher, identity: Identity, slug: Name, number: Number
) -> Response:
    """Put any version on sale, such as the one before."""
    return await _publish(request, door, identity, slug, number)


@router.post(f"{_OWN}/archive")
async def archive(door: LimitedDoor, creator: Publisher, slug: Name) -> Response:
    """Take it off sale."""
    return await _switch_sale(door, creator.id, slug, is_archived=True)


@router.post(f"{_OWN}/restore")
async def restore(door: LimitedDoor, creator: Publisher, slug: Name) -> Response:
    """Put it on sale again."""
    return await _switch_sale(door, creator.id, slug, is_archived=False)


@router.post(f"{_OWN}/switch")
async def switch(request: Request, door: LimitedDoor, creator: Publisher, identity: Identity, slug: Name) -> Response:
    """Test it on another model, and sell it there if that answers. Answers when the test is over."""
    model = (await read_form(request)).text("model")
    await door.count_request(CHANGE_RATE, f"change:{creator.id}")
    try:
        await model_switch.switch(door.pool, door.hub, creator.id, slug, model)
    except InvalidInput as refusal:
        return await _answer(request, door, identity, slug, refused=refusal.fields)
    except (SwitchFailed, OwnTestRefused) as failure:
        return await _answer(request, door, identity, slug, refused={"": f"Nothing was changed. {failure.advice}"})
    return back(_OWN.format(slug=slug), "switched")


@router.get(f"{_OWN}/versions/{{number}}")
async def difference(
    request: Request, door: LimitedDoor, creator: Publisher, identity: Identity, slug: Name, number: Number
) -> Response:
    """How a version differs from the one before."""
    async with db.acting_for(door.pool, creator.id) as conn:
        resource = await editing.find(conn, creator.id, slug, number=number)
        before = await editing.find(conn, creator.id, slug, number=number - 1) if number > 1 else None
    old = {} if before is None else editing.document_of(before)
    return desk_page(
        request,
        identity,
        "difference.html",
        resource=resource,
        before=before,
        differences=document.differences(old, editing.document_of(resource)),
        as_yaml=document.as_yaml,
    )


@router.get(f"{_OWN}/preview")
async def preview(door: LimitedDoor, creator: Creator, slug: Name) -> Response:
    """The draft, or what is on offer if there is none, as a buyer will see it."""
    async with db.acting_for(door.pool, creator.id) as conn:
        version = (await editing.find(conn, creator.id, slug)).version
        _, payouts = await readiness.obstacle(conn, version)
    shown = replace(version, archived=False)
    measured = await door.record_of(version.resource_id)
    return product_page(Offered(shown, tuple(payouts.items()), None), measured, is_preview=True)


async def _publish(
    request: Request, door: Door, identity: authentication.Identity, slug: str, number: int | None
) -> Response:
    form = await read_form(request)
    await door.count_request(CHANGE_RATE, f"change:{identity.account.id}")
    try:
        async with db.acting_for(door.pool, identity.account.id) as conn:
            await editing.publish(
                conn,
                identity.account.id,
                slug,
                number=number,
                allow_loss=form.chosen("allow_loss"),
                allow_breaking=form.chosen("allow_breaking"),
            )
    except InvalidInput as refusal:
        return await _answer(request, door, identity, slug, refused=refusal.fields)
    return back(_OWN.format(slug=slug), "published" if number is None else "offered")


async def _switch_sale(door: Door, account_id: UUID, slug: str, *, is_archived: bool) -> Response:
    await door.count_request(CHANGE_RATE, f"change:{account_id}")
    async with db.acting_for(door.pool, account_id) as conn:
        await editing.switch(conn, account_id, slug, is_archived=is_archived)
    return back(_OWN.format(slug=slug), "archived" if is_archived else "restored")


async def _answer(
    request: Request,
    door: Door,
    identity: authentication.Identity,
    slug: str,
    *,
    refused: Mapping[str, str] | None = None,
) -> Response:
    account_id = identity.account.id
    async with db.acting_for(door.pool, account_id) as conn:
        resource = await editing.find(conn, account_id, slug)
        rows = await editing.history(conn, resource)
        offered = await versions.version(conn, resource.row.version_id) if resource.row.version_id else None
        obstacle = (await readiness.obstacle(conn, offered))[0] if offered else "draft"
        leaving = (await departures.facts(conn, account_id)).get(slug)
        successors = await _successors(conn, offered, leaving) if offered and leaving else []
        caps = (await versions.caps(conn, account_id)).get(slug)
    draft = await _dry_run(door, account_id, slug) if resource.drafted and "publish" in identity.scopes else None
    return desk_page(
        request,
        identity,
        "product.html",
        status=400 if refused else 200,
        resource=resource,
        version=resource.version,
        offered=offered,
        url=offers.url_of(resource.version),
        versions=[(row, editing.state_of(resource, row)) for row in rows],
        obstacle=obstacle,
        advice=ADVICE[obstacle] if obstacle else None,
        leaving=leaving and departures.sentence(leaving),
        successors=successors,
        caps=caps,
        draft=draft,
        refused=in_words(refused or {}),
    )


async def _dry_run(door: Door, account_id: UUID, slug: str) -> Draft:
    """Ask what publishing the draft would say, and change nothing."""
    try:
        async with db.acting_for(door.pool, account_id) as conn, conn.transaction(force_rollback=True):
            saved = await editing.publish(conn, account_id, slug)
            return Draft((), saved.checked.warnings)
    except InvalidInput as refusal:
        return Draft(in_words(refusal.fields), ())


async def _successors(conn: db.Connection, offered: versions.Version, leaving: departures.Facts) -> list[Successor]:
    """Compare the models that a prompt may move to with the one that it is on."""
    now = await _typical(conn, offered, offered.model_id)
    found = []
    for model_id in leaving["switch_to"]:
        model = await catalog.show(conn, model_id)
        if model is None:
            continue
        then = await _typical(conn, offered, model_id)
        change = int((then / now - 1) * 100) if then is not None and now else None
        found.append(Successor(model, then, change))
    return found


async def _typical(conn: db.Connection, offered: versions.Version, model_id: str) -> Decimal | None:
    """Estimate what a usual call costs on a model; None if the prompt cannot run there, or nobody knows."""
    try:
        others = tuple(other for other in offered.fallbacks if other != model_id)
        draft = versions.draft_of(offered).model_copy(update={"model": model_id, "fallbacks": others})
        done = await estimates.estimate(conn, offered.account_id, draft)
    except Failure:
        return None
    return done.on_its_model.typical_usd
