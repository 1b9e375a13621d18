"""Serve what programs read to find us: OpenAPI documents, manifests, llms.txt, a sitemap, cards and catalogs.

Sources: OpenAPI 3.1.1; x402 issue 2582 (`/.well-known/x402.json`, a draft) and x402scan pull request 459
(`/.well-known/x402`); https://llmstxt.org; RFC 9309 (robots.txt); sitemaps.org; A2A 1.0, 4.4.1; RFC 9727
(`/.well-known/api-catalog`).
"""

from typing import Annotated
from xml.sax.saxutils import escape

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from api import listing as listed
from api import listing_documents as documents
from api import manifest_texts as texts
from api import paging, shop_openapi
from api.bodies import Name
from api.door import Door, LimitedDoor
from api.paging import KnownTag
from core import db
from core.failures import NotFound
from core.payments import offers
from core.resources import listing
from core.resources.listing import Filters, Listed
from core.settings import settings

router = APIRouter(tags=["buyers"])

OPENAPI_PATH = "/openapi.json"

# A document of so many prompts has a megabyte at most with ordinary schemas; the next one goes on.
_OPENAPI_PROMPTS = 200
# Manifests of addresses are short; beyond this, GET /resources and the OpenAPI documents name everything.
_ADDRESSES = 1_000
_DAY = 86_400
_POPULAR = Filters(sort="popular")
_ORDER = "popular of manifests"

# Any text is one, so to describe it says nothing: the answers' ETag does.
CursorQuery = Annotated[str, Query(max_length=2000, description="from `x-next` or `next` of the page before")]


@router.get(OPENAPI_PATH, summary="What is for sale, as OpenAPI", responses=documents.MANIFEST)
async def shop(request: Request, door: LimitedDoor, cursor: CursorQuery = "", if_none_match: KnownTag = "") -> Response:
    """One path per prompt, the most sold ones first; `x-next` leads to the others."""
    return await _openapi(request, door, _POPULAR, cursor, if_none_match)


@router.get("/@{handle}" + OPENAPI_PATH, summary="What a creator sells, as OpenAPI", responses=documents.MANIFEST)
async def creator(
    request: Request, door: LimitedDoor, handle: Name, cursor: CursorQuery = "", if_none_match: KnownTag = ""
) -> Response:
    """The same for one creator; 404 if nothing of theirs is listed and can be sold now."""
    filters = Filters(creator=handle, sort="popular")
    return await _openapi(request, door, filters, cursor, if_none_match)


@router.get("/@{handle}/{slug}" + OPENAPI_PATH, summary="One prompt, as OpenAPI", responses=documents.MANIFEST)
async def one(door: LimitedDoor, handle: Name, slug: Name, if_none_match: KnownTag = "") -> Response:
    """The same for one prompt, also for one that is in no list, or cannot be sold now."""
    offered = await door.offered(handle, slug)
    if offered.version.archived:
        raise NotFound
    return _fresh(shop_openapi.document([offered.version]), if_none_match)


@router.get("/.well-known/x402", summary="The addresses of what is for sale", responses=documents.MANIFEST)
async def addresses(door: LimitedDoor, if_none_match: KnownTag = "") -> Response:
    """As x402scan and others read it; the most sold first, at most 1,000."""
    found = await _addresses(door)
    told = {
        "version": 1,
        "x402Version": 2,
        "name": settings().service_name,
        "resources": [offers.url_of(row) for row in found],
        "openapi": f"{settings().public_url}{OPENAPI_PATH}",
        "instructions": texts.GUIDANCE,
    }
    return _fresh(told, if_none_match)


@router.get("/.well-known/x402.json", summary="What is for sale, as facilitators list it", responses=documents.MANIFEST)
async def resources(
    request: Request, door: LimitedDoor, cursor: CursorQuery = "", if_none_match: KnownTag = ""
) -> Response:
    """The envelope of a facilitator's `/discovery/resources`; `next` leads to the others."""
    rows, token = await _page(door, _POPULAR, cursor)
    items = [texts.discovered(row) for row in rows]
    told = {"x402Version": 2, "items": items, "next": paging.next_address(request, token)}
    return _fresh(told, if_none_match)


@router.get("/.well-known/agent-card.json", summary="The agent card", responses=documents.MANIFEST)
async def agent_card(door: LimitedDoor, if_none_match: KnownTag = "") -> Response:
    """What A2A clients look for. Prompts are bought over x402, and not by A2A messages, and the card says so."""
    rows, _ = await _page(door, _POPULAR, "")
    return _fresh(texts.agent_card(rows), if_none_match)


@router.get("/.well-known/api-catalog", summary="What speaks which API here", responses=documents.CATALOG)
async def catalog(_door: LimitedDoor, if_none_match: KnownTag = "") -> Response:
    """A set of links (RFC 9727 and RFC 9264): the address of each API, with where it is described."""
    answer = JSONResponse(texts.api_catalog(), media_type=documents.LINKS)
    # RFC 9727, 2: also for HEAD, whose client may not read the links.
    answer.headers["Link"] = f'<{settings().public_url}{texts.CATALOG_PATH}>; rel="api-catalog"'
    return paging.unless_known(answer, if_none_match, seconds=_DAY)


@router.get("/llms.txt", summary="How to buy here, for language models", responses=documents.MARKDOWN)
async def llms(door: LimitedDoor, if_none_match: KnownTag = "") -> Response:
    """Markdown (https://llmstxt.org): the rules, and the 200 most sold prompts."""
    rows, _ = await _page(door, _POPULAR, "")
    answer = PlainTextResponse(texts.llms(rows), media_type="text/markdown")
    return paging.unless_known(answer, if_none_match, seconds=listed.FRESH_SECONDS)


@router.get("/robots.txt", summary="Where crawlers may look", responses=documents.TEXT)
async def robots(_door: LimitedDoor, if_none_match: KnownTag = "") -> Response:
    """Everything that is for everybody."""
    return paging.unless_known(PlainTextResponse(texts.robots()), if_none_match, seconds=_DAY)


@router.get("/sitemap.xml", summary="The pages of what is for sale", responses=documents.SITEMAP)
async def sitemap(door: LimitedDoor, if_none_match: KnownTag = "") -> Response:
    """The shop, the 1,000 most sold prompts, and their creators."""
    rows = await _addresses(door)
    base = settings().public_url
    others = [f"{base}/", *(f"{base}/@{handle}" for handle in dict.fromkeys(row.handle for row in rows))]
    entries = "".join(f"<url><loc>{escape(url)}</loc></url>" for url in others) + "".join(
        f"<url><loc>{escape(offers.url_of(row))}</loc>"
        + (f"<lastmod>{row.offered_at.isoformat(timespec='seconds')}</lastmod>" if row.offered_at else "")
        + "</url>"
        for row in rows
    )
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>'
    )
    answer = Response(body, media_type="application/xml")
    return paging.unless_known(answer, if_none_match, seconds=listed.FRESH_SECONDS)


@router.get("/favicon.ico", summary="The icon", responses=documents.ICON)
async def favicon(_door: LimitedDoor, if_none_match: KnownTag = "") -> Response:
    """A picture for lists and browsers' tabs."""
    return paging.unless_known(Response(texts.ICON, media_type="image/x-icon"), if_none_match, seconds=_DAY)


async def _openapi(request: Request, door: Door, filters: Filters, cursor: str, known: str) -> Response:
    rows, token = await _page(door, filters, cursor)
    if filters.creator and not rows:
        raise NotFound
    return _fresh(shop_openapi.document(rows, next_page=paging.next_address(request, token)), known)


async def _page(door: Door, filters: Filters, cursor: str) -> tuple[list[Listed], str | None]:
    """Read a page of prompts with the cursor of the next one. What most clients ask for is read once a second."""
    after = listed.read_cursor(_ORDER, cursor) if cursor else None

    async def read() -> tuple[list[Listed], listing.Cursor | None]:
        async with db.autocommit(door.pool) as conn:
            return await listing.page(conn, filters, after=after, most=_OPENAPI_PROMPTS)

    rows, last = await (door.probes.get("prompts", read) if filters is _POPULAR and after is None else read())
    return rows, listed.write_cursor(_ORDER, last) if last else None


async def _addresses(door: Door) -> list[Listed]:
    async def read() -> list[Listed]:
        async with db.autocommit(door.pool) as conn:
            return (await listing.page(conn, _POPULAR, most=_ADDRESSES))[0]

    found: list[Listed] = await door.probes.get("addresses", read)
    return found


def _fresh(document: object, known: str) -> Response:
    return paging.known_or(document, known, seconds=listed.FRESH_SECONDS)
