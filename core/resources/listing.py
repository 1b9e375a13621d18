"""List and search what is for sale now. What its creator keeps out of lists is never named here.

Functions take a connection and do not commit.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal
from uuid import UUID

from core import db
from core.catalog.model import ABSENCE_TOLERATED
from core.db.queries.listing import Creator as Creator
from core.db.queries.listing import KnownRow as KnownRow
from core.db.queries.listing import Listed as ListedRow
from core.db.queries.listing import sql
from core.db.states import Modality
from core.providers import registry
from core.resources.draft import Example
from core.resources.parameters import Parameter
from core.settings import settings

Sort = Literal["relevance", "newest", "name", "price", "popular"]

PAGE_LIMIT: Final = 200
"""Most entries of one page."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One prompt that is for sale now: the version on offer, as buyers may see it.

    Attributes:
        number: counts a resource's versions from 1.
        price_atomic: atomic USDC.
        answer_schema: JSON Schema of every answer, as JSON; None if none is promised.
        offered_at: when this version was first on offer (UTC).
        recent_calls: paid calls of the resource that were answered in the last 30 days, by the last count of usage.
        payouts: the networks (CAIP-2) that it can be paid on, with the payout addresses.
    """

    version_id: UUID
    resource_id: UUID
    handle: str
    slug: str
    number: int
    title: str
    description: str
    modality: Modality
    model_id: str
    parameters: tuple[Parameter, ...]
    allows_user_message: bool
    max_output_tokens: int
    timeout_seconds: int
    price_atomic: int
    zdr: bool
    answer_schema: str | None
    tags: tuple[str, ...]
    icon: str | None
    example: Example | None
    offered_at: datetime | None
    recent_calls: int
    payouts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters; a prompt must match all that are given.

    Attributes:
        search: words, each of which must fit: in title, slug, tags or handle, also misspelt, in the model's id, as a
            kind, or in the description.
        kind: of the answer.
        model: the id of the model.
        creator: a handle.
        slug: with `creator`, the only prompt.
        tag: one of its tags.
        most_atomic: the highest price, in atomic USDC.
        sort: by relevance, newest resource, title, lowest price or most paid calls in 30 days first. None: by relevance
            if there is a search, else newest.
    """

    search: str = ""
    kind: Modality | None = None
    model: str | None = None
    creator: str | None = None
    slug: str | None = None
    tag: str | None = None
    most_atomic: int | None = None
    sort: Sort | None = None

    @property
    def order(self) -> Sort:
        """The sort order."""
        return self.sort or ("relevance" if self.search.strip() else "newest")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Keyset-pagination cursor: the position after a prompt. `text` or `number` is set, depending on the sort."""

    text: str
    number: Decimal
    id: UUID


async def page(
    conn: db.Connection, filters: Filters = Filters(), *, after: Cursor | None = None, most: int = PAGE_LIMIT
) -> tuple[list[Listed], Cursor | None]:
    """Read a page of what can be sold now, and the cursor of the next page; None at the end."""
    rows = [row async for row in _page(conn, filters, after, most + 1)]
    shown = [_listed(row) for row in rows[:most]]
    if len(rows) <= most:
        return shown, None
    last = rows[most - 1]
    return shown, Cursor(last.sort_text, last.sort_number, last.resource_id)


async def find(conn: db.Connection, handle: str, slug: str) -> Listed | None:
    """Find one prompt that is listed and can be sold now."""
    row = await anext(_page(conn, Filters(creator=handle, slug=slug), None, 1), None)
    return row and _listed(row)


async def creators(conn: db.Connection, after: str, *, most: int) -> list[Creator]:
    """Read creators of whom something was ever on offer, by handle, after this one."""
    return [row async for row in sql.creators(conn, after=after, most=most)]


async def known(conn: db.Connection, account_id: UUID) -> list[KnownRow]:
    """Read everything that a creator ever published, and whether lists may name it."""
    return [row async for row in sql.known(conn, account_id=account_id)]


async def note_differences(conn: db.Connection, account_id: UUID, found: Mapping[UUID, Mapping[str, object]]) -> None:
    """Keep how a creator's products differ, by resource; what is not named agrees."""
    text = json.dumps({str(resource_id): dict(facts) for resource_id, facts in found.items()})
    await sql.note_differences(conn, account_id=account_id, found=text)


async def models(conn: db.Connection, *, most: int) -> list[str]:
    """Name the models of what is listed, those with the most prompts first."""
    return [row.model_id async for row in sql.models(conn, most=most)]


async def everything(conn: db.Connection, filters: Filters = Filters(), *, most: int) -> tuple[list[Listed], bool]:
    """Read up to `most` entries, page by page; and whether these are all."""
    found, cursor = await page(conn, filters, most=min(PAGE_LIMIT, most))
    while cursor and len(found) < most:
        more, cursor = await page(conn, filters, after=cursor, most=min(PAGE_LIMIT, most - len(found)))
        found += more
    return found, cursor is None


def _page(conn: db.Connection, filters: Filters, after: Cursor | None, most: int) -> AsyncIterator[ListedRow]:
    return sql.page(
        conn,
        absence_tolerated=ABSENCE_TOLERATED,
        networks=[network.id for network in settings().networks],
        providers=list(registry.configured()),
        search=filters.search.strip(),
        kind=filters.kind,
        model=filters.model,
        creator=filters.creator,
        slug=filters.slug,
        tag=filters.tag,
        most_atomic=filters.most_atomic,
        sort=filters.order,
        after_text=after.text if after else None,
        after_number=after.number if after else None,
        after_id=after.id if after else None,
        most=most,
    )


def _listed(row: ListedRow) -> Listed:
    return Listed(
        version_id=row.version_id,
        resource_id=row.resource_id,
        handle=row.handle,
        slug=row.slug,
        number=row.number,
        title=row.title,
        description=row.description,
        modality=row.modality,
        model_id=row.model_id,
        parameters=tuple(map(Parameter.model_validate, row.parameters)),
        allows_user_message=row.allows_user_message,
        max_output_tokens=row.max_output_tokens,
        timeout_seconds=row.timeout_seconds,
        price_atomic=row.price_atomic,
        zdr=row.zdr,
        answer_schema=row.answer_schema,
        tags=tuple(row.tags),
        icon=row.icon,
        example=None if row.example is None else Example.model_validate(row.example),
        offered_at=row.offered_at,
        recent_calls=row.recent_calls,
        payouts=tuple(
            (network.id, address) for network in settings().networks if (address := row.payouts.get(network.id))
        ),
    )
