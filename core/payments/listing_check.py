"""Visit every product as a stranger, and compare what lists say of it with its live offer and with the database.

Everything is asked over HTTP at the public URL, so what stands between buyers and the door is seen too. A difference
counts if a second look finds it again: creators publish meanwhile.
"""

import asyncio
import binascii
import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core import db
from core.amounts import usdc
from core.failures import Unavailable
from core.net.json_client import Client, JsonResponse, NoResponse, client, get, post
from core.resources import listing, product
from core.resources.listing import Creator, Filters, Listed
from core.settings import settings

_CREATORS = 200
_MOST_BYTES: Final = 32 * 1024 * 1024
# A door allows an address 1200 requests a minute, which leaves room for others behind the same address.
_PAUSE_SECONDS = 0.1

Facts = dict[str, object]


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a visit: how many products agree, differ, and could not be looked at."""

    agree: int
    differ: int
    unread: int

    def plus(self, other: "Checked") -> "Checked":
        """Add up two visits."""
        return Checked(self.agree + other.agree, self.differ + other.differ, self.unread + other.unread)


@dataclass(frozen=True, slots=True)
class _Told:
    """What the manifests say of a creator's products: by slug, OpenAPI's operation and the list's entry."""

    operations: Mapping[str, object]
    entries: Mapping[str, object]


async def check(pool: db.Pool) -> Checked:
    """Visit every product of every creator.

    Raises:
        Unavailable: `door_unreachable`, nobody answers at the public URL, or not with a manifest.
    """
    found, after = Checked(0, 0, 0), ""
    async with client() as http:
        if not await _read(http, "/openapi.json"):
            raise Unavailable("door_unreachable")
        while True:
            async with pool.connection() as conn:
                creators = await listing.creators(conn, after, most=_CREATORS)
            if not creators:
                return found
            for creator in creators:
                found = found.plus(await _check_creator(pool, http, creator))
            after = creators[-1].handle


async def _check_creator(pool: db.Pool, http: Client, creator: Creator) -> Checked:
    first = await _look(pool, http, creator)
    if not any(first.values()):
        found: Mapping[str, Facts | None] = first
    else:
        second = await _look(pool, http, creator)
        found = {slug: facts if facts and first.get(slug) else None for slug, facts in second.items()}
    async with pool.connection() as conn:
        known = {row.slug: row.id for row in await listing.known(conn, creator.id)}
        differing = {known[slug]: facts for slug, facts in found.items() if facts and facts["cause"] != "unread"}
        await listing.note_differences(conn, creator.id, differing)
    unread = sum(1 for facts in found.values() if facts and facts["cause"] == "unread")
    return Checked(len(found) - len(differing) - unread, len(differing), unread)


async def _look(pool: db.Pool, http: Client, creator: Creator) -> dict[str, Facts | None]:
    """Say for each product of a creator how lists, offer and database differ; None: they agree."""
    async with pool.connection() as conn:
        known = await listing.known(conn, creator.id)
        ready, after = await listing.page(conn, Filters(creator=creator.handle))
        while after:
            more, after = await listing.page(conn, Filters(creator=creator.handle), after=after)
            ready += more
    sold = {row.slug: row for row in ready}
    told = await _manifests(http, creator.handle)
    if told is None:
        return {row.slug: {"cause": "unread"} for row in known}
    looked: dict[str, Facts | None] = {}
    for row in known:
        if not row.may_be_listed:
            is_named = row.slug in told.operations or row.slug in told.entries
            looked[row.slug] = {"cause": "unlisted_shown"} if is_named else None
        elif row.slug in sold:
            looked[row.slug] = await _visit(http, sold[row.slug], told)
        else:
            is_named = row.slug in told.operations or row.slug in told.entries
            looked[row.slug] = {"cause": "unsold_listed"} if is_named else None
    return looked


async def _visit(http: Client, sold: Listed, told: _Told) -> Facts | None:
    """Ask for the offer of a product that can be sold, and compare it with what lists say."""
    url = f"{settings().public_url}/@{sold.handle}/{sold.slug}"
    answer = await post(http, url, {})
    await asyncio.sleep(_PAUSE_SECONDS)
    if isinstance(answer, NoResponse) or answer.status == 429:
        return {"cause": "unread"}
    operation, entry = told.operations.get(sold.slug), told.entries.get(sold.slug)
    if operation is None or entry is None:
        return {"cause": "not_listed"}
    if answer.status != 402:
        return {"cause": "not_offered", "status": answer.status}
    offer, body = _header(answer), answer.body
    accepts = _at(offer, "accepts")
    amounts = {str(_at(one, "amount")) for one in accepts} if isinstance(accepts, list) else set()
    price, prices = (
        usdc(sold.price_atomic),
        {
            "offer": _at(body, "product", "priceUsdc"),
            "openapi": _at(operation, "x-payment-info", "price", "amount"),
            "list": _at(entry, "priceUsdc"),
        },
    )
    if {*map(str, prices.values())} != {price} or amounts != {str(sold.price_atomic)}:
        return {"cause": "price_differs", "price": price, "told": prices}
    if not _at(offer, "resource", "url") == _at(entry, "url") == url:
        return {"cause": "address_differs", "address": url, "told": _at(offer, "resource", "url")}
    request = _at(operation, "requestBody", "content", "application/json", "schema")
    schema = json.loads(json.dumps(product.inputs_schema(sold)))
    if not schema == request == _at(entry, "inputs") == _at(body, "inputs"):
        return {"cause": "inputs_differ"}
    return None


async def _manifests(http: Client, handle: str) -> _Told | None:
    """Read what lists say of a creator, page by page; None if they cannot be read."""
    operations, entries = dict[str, object](), dict[str, object]()
    path: str | None = f"/@{handle}/openapi.json"
    while path:
        page = await _read(http, path, none=404)
        if page is None:
            return None
        operations |= {address.rpartition("/")[2]: _at(item, "post") for address, item in _members(page, "paths")}
        path = _next(page, "x-next")
    path = f"/resources?creator={handle}&limit={listing.PAGE_LIMIT}"
    while path:
        page = await _read(http, path)
        if page is None:
            return None
        listed = page.get("resources")
        entries |= {str(_at(entry, "slug")): entry for entry in listed} if isinstance(listed, list) else {}
        path = _next(page, "next")
    return _Told(operations, entries)


async def _read(http: Client, path: str, *, none: int = 0) -> Facts | None:
    """Read a document of the door; empty for this status, None if there is none."""
    answer = await get(http, f"{settings().public_url}{path}", most_bytes=_MOST_BYTES)
    await asyncio.sleep(_PAUSE_SECONDS)
    if not isinstance(answer, JsonResponse):
        return None
    return answer.body if answer.status == 200 else {} if answer.status == none else None


def _header(answer: JsonResponse) -> object:
    """Decode the offer in the header; None if it has none."""
    try:
        return json.loads(b64decode(answer.headers.get("PAYMENT-REQUIRED", ""), validate=True))
    except (binascii.Error, ValueError):
        return None


def _at(document: object, *path: str) -> object:
    """Return what stands at a path of names in a document; None if nothing does."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _members(document: object, name: str) -> list[tuple[str, object]]:
    found = _at(document, name)
    return list(found.items()) if isinstance(found, dict) else []


def _next(page: object, name: str) -> str | None:
    """Return the address of the next page, if it is one of the door's own."""
    path = _at(page, name)
    return path if isinstance(path, str) and path.startswith("/") else None
