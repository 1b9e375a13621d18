"""Serve the list of what is for sale: searchable, page by page."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api import listing_documents as documents
from api import paging
from api.bodies import NAME
from api.catalog import storable
from api.door import Door, LimitedDoor
from api.pages import negotiation
from core import db
from core.amounts import usdc
from core.catalog.model import ID
from core.db.states import Modality
from core.payments import offers
from core.resources import listing, product

router = APIRouter(tags=["buyers"])

_ATOMIC_DIGITS = 6
# The filters that the shop has too; its pages have another length, so their cursors differ.
_SHARED = frozenset({"search", "kind", "model", "creator", "tag", "maxPrice", "sort"})
# What is for sale changes within minutes; a client that pays looks at the offer.
FRESH_SECONDS = 60


def _handle(creator: str | None) -> str | None:
    return creator and creator.removeprefix("@")


class Filter(BaseModel):
    """Filters; a prompt must match all that are given."""

    model_config = ConfigDict(extra="forbid")

    search: Annotated[str, AfterValidator(storable)] = Field(
        default="", max_length=200, description="words of title, tags, creator, model or description, also misspelt"
    )
    kind: Modality | None = Field(default=None, description="of the answer")
    model: str | None = Field(default=None, pattern=f"^{ID.pattern}$", description="the id of the model")
    creator: Annotated[str | None, AfterValidator(_handle)] = Field(
        default=None, pattern=f"^@?{NAME.pattern}$", description="a handle, also as addresses have it: @creator"
    )
    tag: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,30}$", description="one of its tags")
    max_price: Decimal | None = Field(
        default=None, alias="maxPrice", ge=0, max_digits=13, decimal_places=6, allow_inf_nan=False, description="USDC"
    )
    sort: listing.Sort | None = Field(
        default=None,
        description="by relevance, newest, title, lowest price or most paid calls in 30 days first; without it by"
        " relevance if there is a search, else newest first",
    )
    cursor: str | None = Field(default=None, max_length=2000, description="from `next` of the page before")
    limit: int = Field(default=50, ge=1, le=listing.PAGE_LIMIT)

    def filters(self) -> listing.Filters:
        """Convert to the filters of the list."""
        return listing.Filters(
            search=self.search,
            kind=self.kind,
            model=self.model,
            creator=self.creator,
            tag=self.tag,
            most_atomic=None if self.max_price is None else int(self.max_price.scaleb(_ATOMIC_DIGITS)),
            sort=self.sort,
        )


@router.get("/resources", summary="The prompts that are for sale", responses=documents.PAGE)
async def resources(
    request: Request,
    door: LimitedDoor,
    query: Annotated[Filter, Query()],
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """Page by page: `next` leads to the following ones, also while prompts come and go."""
    if negotiation.wants_page(request):
        return negotiation.to_shop(**{name: text for name, text in request.query_params.items() if name in _SHARED})
    rows, token = await read_page(door, query)
    page = {"resources": [entry(row) for row in rows], "next": paging.next_address(request, token)}
    return paging.known_or(page, if_none_match, seconds=FRESH_SECONDS)


async def read_page(door: Door, query: Filter) -> tuple[list[listing.Listed], str | None]:
    """Read one page, and the cursor of the next one; None at the end.

    Raises:
        InvalidInput: the cursor is none of this order.
    """
    filters = query.filters()
    order = f"{filters.order} of resources"
    after = None if query.cursor is None else read_cursor(order, query.cursor)
    async with db.autocommit(door.pool) as conn:
        rows, cursor = await listing.page(conn, filters, after=after, most=query.limit)
    return rows, None if cursor is None else write_cursor(order, cursor)


def write_cursor(order: str, place: listing.Cursor) -> str:
    """Write a place in an order of prompts."""
    return paging.write_cursor(order, [place.text, f"{place.number:f}", str(place.id)])


def read_cursor(order: str, cursor: str) -> listing.Cursor:
    """Read a place in an order of prompts.

    Raises:
        InvalidInput: we did not make it, or it belongs to another order.
    """
    text, number, last_id = paging.read_cursor(order, cursor)
    return listing.Cursor(text, Decimal(number), UUID(last_id))


def entry(row: listing.Listed) -> dict[str, object]:
    """Describe one prompt for sale."""
    return {
        "url": offers.url_of(row),
        "creator": row.handle,
        "slug": row.slug,
        "title": row.title,
        "description": row.description,
        "kind": row.modality,
        "model": row.model_id,
        "priceUsdc": usdc(row.price_atomic),
        "networks": [network for network, _ in row.payouts],
        "version": row.number,
        "offeredAt": row.offered_at and row.offered_at.isoformat(),
        "tags": list(row.tags),
        "icon": row.icon,
        "recentCalls": row.recent_calls,
        "inputs": product.inputs_schema(row),
        "answer": product.answer_schema(row),
    }
