"""The shop's pages: `/` with everything that is for sale, and `/@creator` with what one creator sells."""

from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from api.bodies import NAME
from api.door import Door, LimitedDoor
from api.listing import Filter, read_page
from api.pages import negotiation
from api.pages.rendering import link, page
from core import db
from core.accounts import accounts
from core.db.states import Modality
from core.failures import InvalidInput, NotFound
from core.resources import listing

router = APIRouter()

PRODUCTS_OF_A_PAGE: Final = 24
_MODELS = 60
_NAMES = frozenset({"search", "kind", "model", "creator", "tag", "maxPrice", "sort", "cursor"})
_SORTS = {
    "popular": "Most bought",
    "newest": "Newest",
    "price": "Cheapest",
    "name": "Title",
    "relevance": "Best match",
}
_UNREADABLE: Final = {
    "search": "A search has at most 200 characters that can be typed.",
    "kind": "There are answers of the kinds text, json and image.",
    "model": "No model has such a name.",
    "creator": "No creator has such a name.",
    "tag": "A tag is up to 30 lower-case letters, digits and hyphens.",
    "maxPrice": "A price is digits with at most six decimals, such as 0.05.",
    "sort": "There is no such order.",
    "cursor": "This page of the list cannot be found.",
}
KINDS: Final[dict[Modality, str]] = {"text": "Text", "json": "JSON", "image": "Picture"}
"""What people call the kinds of answers."""


@router.get("/", include_in_schema=False)
async def shop(request: Request, door: LimitedDoor) -> Response:
    """Everything that is for sale. Programs read `/resources`."""
    if not negotiation.wants_page(request):
        raise NotFound
    return await _shelves(request, door, None)


@router.get("/@{handle}", include_in_schema=False)
async def creator(request: Request, door: LimitedDoor, handle: str) -> Response:
    """What one creator sells."""
    if not NAME.fullmatch(handle) or not negotiation.wants_page(request):
        raise NotFound
    async with db.autocommit(door.pool) as conn:
        await accounts.find(conn, handle)
    return await _shelves(request, door, handle)


async def _shelves(request: Request, door: Door, handle: str | None) -> Response:
    """Show one page of the list. What a filter cannot read is said, and nothing is shown for it."""
    asked = {name: value for name, value in request.query_params.items() if value and name in _NAMES}
    rows: list[listing.Listed] = []
    wrong, following = "", None
    chosen = Filter()
    try:
        chosen = Filter.model_validate(asked | {"limit": PRODUCTS_OF_A_PAGE} | ({"creator": handle} if handle else {}))
        rows, following = await read_page(door, chosen)
    except ValidationError as error:
        wrong = " ".join(_UNREADABLE[str(name)] for name in {problem["loc"][0]: 0 for problem in error.errors()})
    except InvalidInput as error:
        wrong = "; ".join(error.fields.values())
    async with db.autocommit(door.pool) as conn:
        models = [] if handle else await listing.models(conn, most=_MODELS)
    return page(
        "shop.html",
        status=400 if wrong else 200,
        headers={"Cache-Control": "private, no-cache"},
        handle=handle,
        rows=rows,
        wrong=wrong,
        asked=dict.fromkeys(_NAMES, "") | asked,
        is_filtered=bool(asked.keys() - {"sort", "cursor"}),
        order=chosen.filters().order,
        sorts=_SORTS if asked.get("search") else {name: word for name, word in _SORTS.items() if name != "relevance"},
        kinds=KINDS,
        models=models,
        following=following and f"?{urlencode(asked | {'cursor': following})}",
        first=f"?{urlencode({name: value for name, value in asked.items() if name != 'cursor'})}",
        here=link(f"/@{handle}" if handle else "/"),
    )
