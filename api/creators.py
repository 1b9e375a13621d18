"""Serve the list of a creator's resources."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic.alias_generators import to_camel

from api import documents, resource_records
from api.authentication import Creator
from api.door import LimitedDoor
from core import db
from core.amounts import usdc
from core.payments import offers
from core.resources import departures, readiness
from core.resources import versions as resource_versions
from core.resources.obstacles import ADVICE

router = APIRouter(prefix="/me", tags=["creators"])


@router.get(
    "/resources",
    summary="What you sell",
    response_model=list[resource_records.Sold],
    responses=documents.problems(401, 403, 429, 503),
)
async def resources(door: LimitedDoor, creator: Creator) -> Response:
    """Your resources without templates: the version on offer of each, or its draft if it was never published."""
    async with db.acting_for(door.pool, creator.id) as conn:
        versions = await resource_versions.listing(conn, creator.id)
        obstacles = [await readiness.why_not_sold(conn, version) for version in versions]
        leaving = await departures.departures(conn, creator.id)
        caps = await resource_versions.caps(conn, creator.id)
    return JSONResponse(
        [
            {
                "slug": version.slug,
                "url": offers.url_of(version),
                "version": version.number,
                "title": version.title,
                "model": version.model_id,
                "modality": version.modality,
                "priceUsdc": usdc(version.price_atomic),
                "worstCostUsd": f"{version.worst_cost_usd:f}",
                "archived": version.archived,
                "state": resource_versions.state(version),
                "obstacle": obstacle,
                "advice": obstacle and ADVICE[obstacle],
                "caps": caps_document(caps[version.slug]),
                "modelNotice": leaving.get(version.slug),
            }
            for version, obstacle in zip(versions, obstacles, strict=True)
        ]
    )


def caps_document(row: resource_versions.CapsRow) -> dict[str, str | None]:
    """Build what `resource_records.ResourceCaps` describes."""
    return {
        to_camel(name): None if amount is None else f"{amount:f}"
        for name, amount in row._asdict().items()
        if name != "slug"
    }
