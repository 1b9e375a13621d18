"""Serve the versions of a creator's own resource: list, compare, and show them as a buyer would see them."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from api import conditional, offers, resource_records
from api.authentication import Creator, Publisher
from api.bodies import Name
from api.door import LimitedDoor
from api.resources import Number, VersionQuery, described, number_of
from core import db
from core.amounts import usdc
from core.resources import document, editing, readiness

router = APIRouter(prefix="/me/resources", tags=["creators"])


@router.get(
    "/{slug}/versions",
    summary="The versions of your resource",
    responses=resource_records.answers(resource_records.Versions),
)
async def versions(door: LimitedDoor, creator: Creator, slug: Name) -> Response:
    """Newest first. A version never changes; what a buyer was quoted stays for sale to that buyer."""
    async with db.acting_for(door.pool, creator.id) as conn:
        resource = await editing.find(conn, creator.id, slug)
        rows = await editing.history(conn, resource)
    listed = [
        {
            "version": row.number,
            "state": editing.state_of(resource, row),
            "title": row.title,
            "model": row.model_id,
            "priceUsdc": usdc(row.price_atomic),
            "createdAt": row.created_at.isoformat(),
            "offeredAt": row.offered_at and row.offered_at.isoformat(),
        }
        for row in rows
    ]
    return conditional.answer(described(resource) | {"versions": listed})


@router.get(
    "/{slug}/versions/{number}/diff",
    summary="How a version differs from the one before",
    responses=resource_records.answers(resource_records.Differences, 400, 502),
)
async def difference(
    door: LimitedDoor,
    creator: Publisher,
    slug: Name,
    number: Number,
    against: Annotated[
        str,
        Query(
            description="another version to compare with; by default the one before",
            json_schema_extra={"pattern": "^([1-9][0-9]{0,5})?$"},
        ),
    ] = "",
) -> Response:
    """Field by field; the template line by line. For you alone."""
    other_number = number_of(against) or number - 1
    async with db.acting_for(door.pool, creator.id) as conn:
        resource = await editing.find(conn, creator.id, slug, number=number)
        other = await editing.find(conn, creator.id, slug, number=other_number) if other_number else None
    before, after = {} if other is None else editing.document_of(other), editing.document_of(resource)
    return conditional.answer(
        described(resource) | {"against": other_number or None, "differences": document.differences(before, after)}
    )


@router.get(
    "/{slug}/preview",
    summary="Exactly what a buyer sees",
    responses=resource_records.answers(resource_records.Shown, 400),
)
async def preview(door: LimitedDoor, creator: Creator, slug: Name, version: VersionQuery = "") -> Response:
    """Status, headers and body of the offer, for a draft too. Its quote buys nothing."""
    async with db.acting_for(door.pool, creator.id) as conn:
        resource = await editing.find(conn, creator.id, slug, number=number_of(version))
        obstacle, payouts = await readiness.obstacle(conn, resource.version)
    shown = offers.preview(resource.version, payouts)
    return conditional.answer(described(resource) | {"obstacle": obstacle} | shown)
