"""Serve creators, who authenticate with a bearer token."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api import documents
from api.door import LimitedDoor
from core import db
from core.accounts import accounts
from core.amounts import usdc
from core.failures import Unauthorized
from core.payments import offers
from core.resources import departures
from core.resources import versions as resource_versions

router = APIRouter(prefix="/me", tags=["creators"])


_bearer = HTTPBearer(scheme_name="creator", description="as `instant creators add` printed it", auto_error=False)


async def _creator(
    door: LimitedDoor, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> accounts.Account:
    if bearer is None:
        raise Unauthorized
    async with door.pool.connection() as conn:
        return await accounts.authenticate(conn, bearer.credentials)


Creator = Annotated[accounts.Account, Depends(_creator)]


@router.get(
    "/resources",
    summary="What you sell",
    response_model=list[documents.Sold],
    responses=documents.problems(401, 429, 503),
)
async def resources(door: LimitedDoor, creator: Creator) -> Response:
    """Your resources without templates: the version on offer of each, or its draft if it was never published."""
    async with db.acting_for(door.pool, creator.id) as conn:
        versions = await resource_versions.listing(conn, creator.id)
        leaving = await departures.departures(conn, creator.id)
    return JSONResponse(
        [
            {
                "slug": version.slug,
                "url": offers.url_of(version),
                "version": version.number,
                "title": version.title,
                "model": version.model_id,
                "priceUsdc": usdc(version.price_atomic),
                "archived": version.archived,
                "state": resource_versions.state(version),
                "modelNotice": leaving.get(version.slug),
            }
            for version in versions
        ]
    )
