"""Write and change a prompt: the form, with the models beside it, and what it costs while it is typed.

Every button sends the whole form to the same address, and gets the whole page back with nothing typed lost: so it works
without JavaScript. `editor.js` sends the same, and takes the parts that changed.
"""

from dataclasses import replace
from typing import Annotated, Final, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.authentication import Identity, Publisher
from api.bodies import Name
from api.door import Door, LimitedDoor
from api.pages.desk.costs import Costing, costing
from api.pages.desk.draft_form import CHOICES, MOST_ROWS, Row, Typed, document_of, kept_rows, read, typed_of
from api.pages.desk.draft_problems import LABELS, at_rows, in_words
from api.pages.desk.model_browser import SORTS, browse
from api.pages.desk.visits import DESK, back, desk_page
from api.pages.forms import Form, read_form
from api.pages.shop import KINDS
from api.rate_limits import rate
from api.resources import CHANGE_RATE
from core import db
from core.accounts import authentication
from core.catalog.model import Capability
from core.failures import Changed, InvalidInput, SlugTaken
from core.resources import editing, template

router = APIRouter(include_in_schema=False)

# A page asks while somebody types.
_TYPING_RATE = rate("240/minute")
_BODY_LIMIT: Final = 1_000_000
_START: Final = Typed(
    texts={"modality": "text", "price_usdc": "0.01", "max_output_tokens": "1000", "prompt_shield": "watch"},
    rows=(Row(),),
)
_CHANGED: Final = (
    "It was changed since you opened this page, in another tab or by a program. What you typed is all here: look at "
    "the product, and save again to put this in its place."
)


@router.get(f"{DESK}/new")
async def start(
    request: Request,
    door: LimitedDoor,
    _creator: Publisher,
    identity: Identity,
    model: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """An empty form; a link may name the model."""
    typed = replace(_START, texts=dict(_START.texts) | ({"model": model} if model else {}))
    return await _answer(request, door, identity, typed, Form())


@router.get(f"{DESK}/products/{{slug}}/edit")
async def edit(request: Request, door: LimitedDoor, creator: Publisher, identity: Identity, slug: Name) -> Response:
    """The draft, or what is on offer if there is none."""
    async with db.acting_for(door.pool, creator.id) as conn:
        resource = await editing.find(conn, creator.id, slug)
    typed = typed_of(editing.draft_of(resource), resource.row.revision)
    return await _answer(request, door, identity, typed, Form(), slug=slug)


@router.post(f"{DESK}/new")
async def make(request: Request, door: LimitedDoor, _creator: Publisher, identity: Identity) -> Response:
    """Save a new draft, or show the form again with what a button asks for."""
    return await _take(request, door, identity, None)


@router.post(f"{DESK}/products/{{slug}}/edit")
async def change(request: Request, door: LimitedDoor, _creator: Publisher, identity: Identity, slug: Name) -> Response:
    """Save the draft, or show the form again with what a button asks for."""
    return await _take(request, door, identity, slug)


async def _take(request: Request, door: Door, identity: authentication.Identity, slug: str | None) -> Response:
    form = await read_form(request, _BODY_LIMIT)
    typed, wanted = read(form), form.text("do")
    if chosen := form.text("use"):
        typed = replace(typed, texts=dict(typed.texts) | {"model": chosen})
    if wanted == "add":
        typed = replace(typed, rows=[*kept_rows(typed), Row()][:MOST_ROWS])
    if wanted == "tags":
        typed = _with_tags(typed)
    if wanted == "save":
        await door.count_request(CHANGE_RATE, f"change:{identity.account.id}")
        return await _save(request, door, identity, typed, form, slug)
    await door.count_request(_TYPING_RATE, f"typing:{identity.account.id}")
    return await _answer(request, door, identity, typed, form, slug=slug)


async def _save(
    request: Request, door: Door, identity: authentication.Identity, typed: Typed, form: Form, slug: str | None
) -> Response:
    account_id, document = identity.account.id, document_of(typed)
    wrong: dict[str, str] = {}
    try:
        async with db.acting_for(door.pool, account_id) as conn:
            if slug is None:
                saved = await editing.create(conn, account_id, document)
            else:
                revisions = {int(typed.revision)} if typed.revision.isdecimal() and len(typed.revision) < 10 else set()
                saved = await editing.replace(conn, account_id, slug, document, revisions=revisions)
            said = "saved" if saved.is_new else "unchanged"
            return back(f"{DESK}/products/{saved.resource.row.slug}", said)
    except InvalidInput as refusal:
        wrong = refusal.fields
    except SlugTaken as taken:
        wrong = {"slug": f"is taken: you have a prompt {taken.slug}, or had one; a slug is never given again"}
    except Changed:
        async with db.acting_for(door.pool, account_id) as conn:
            now = await editing.find(conn, account_id, str(slug))
        typed, wrong = replace(typed, revision=str(now.row.revision)), {"": "changed"}
    return await _answer(request, door, identity, typed, form, slug=slug, wrong=wrong)


async def _answer(
    request: Request,
    door: Door,
    identity: authentication.Identity,
    typed: Typed,
    form: Form,
    *,
    slug: str | None = None,
    wrong: dict[str, str] | None = None,
) -> Response:
    """Show the form. Before it was refused, fields that nobody has typed into are not said to be wrong."""
    refused = "" if wrong is None else "changed" if "" in wrong else "fields"
    refused = refused or (form.text("refused") if form.text("refused") in ("changed", "fields") else "")
    is_started = bool(typed.texts.get("model") or typed.texts.get("template") or refused)
    async with db.acting_for(door.pool, identity.account.id) as conn:
        found = await costing(conn, identity.account.id, document_of(typed)) if is_started else Costing()
        shelf = await browse(conn, form, typed.texts.get("modality", ""))
    told = at_rows(typed, found.problems if wrong is None else wrong)
    shown = {name: sentence for name, sentence in told.items() if refused == "fields" or not typed.is_empty(name)}
    if refused == "fields" and not shown:
        refused = ""
    return desk_page(
        request,
        identity,
        "editor.html",
        status=400 if wrong else 200,
        slug=slug,
        typed=typed,
        wrong=shown,
        refused=refused,
        is_refused=bool(wrong),
        problems=in_words(shown),
        changed=_CHANGED,
        labels=LABELS,
        costing=found,
        shelf=shelf,
        sorts=SORTS,
        capabilities=get_args(Capability),
        choices=CHOICES,
        kinds=KINDS,
    )


def _with_tags(typed: Typed) -> Typed:
    """Add a row for each tag of the template that has none."""
    rows = kept_rows(typed)
    known = {row.name for row in rows}
    found = [name for name in template.tag_names(typed.texts.get("template", "")) if name not in known]
    return replace(typed, rows=[*rows, *(Row(name=name) for name in found)][:MOST_ROWS])
