"""Serve a creator's tokens: make, list and revoke them. A token is shown once, in the answer that makes it."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from api import documents
from api.authentication import Creator, Identity, Owner
from api.bodies import read_json
from api.door import LimitedDoor
from api.rate_limits import rate
from core import db
from core.accounts import tokens
from core.accounts.tokens import SCOPES, Scope
from core.failures import InvalidInput

router = APIRouter(prefix="/me", tags=["creators"])

ADD_RATE = rate("20/minute")
_NO_STORE = {"Cache-Control": "no-store"}


class ToMake(BaseModel):
    """The token that you want."""

    name: str = Field(default="", max_length=60, description="what you call it")
    scopes: list[Scope] = Field(min_length=1, description="what it may do")
    days: int | None = Field(default=None, ge=1, le=3650, description="how long it works; null: until you revoke it")


class Token(BaseModel):
    """A token that works, without the token itself."""

    id: str
    name: str
    scopes: list[Scope]
    createdAt: str
    expiresAt: str | None = Field(description="when it stops working (UTC); null if never")
    usedAt: str | None = Field(description="a use of it, at most a minute before the last; null if never")


class NewToken(Token):
    """A token that was just made."""

    token: str = Field(description="send it as `Authorization: Bearer ...`; it is not shown again")


_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": ToMake.model_json_schema()}}}}


@router.get(
    "/tokens",
    summary="Your tokens",
    response_model=list[Token],
    responses=documents.problems(401, 403, 429, 503),
)
async def listing(door: LimitedDoor, creator: Creator) -> Response:
    """Those that work, the newest first."""
    async with db.acting_for(door.pool, creator.id) as conn:
        rows = await tokens.listing(conn, creator.id)
    return JSONResponse(jsonable_encoder([token_document(row) for row in rows]), headers=_NO_STORE)


@router.post(
    "/tokens",
    summary="Make a token",
    status_code=201,
    response_model=NewToken,
    responses=documents.problems(400, 401, 403, 413, 415, 429, 503),
    openapi_extra=_BODY,
)
async def create(request: Request, door: LimitedDoor, owner: Owner) -> Response:
    """Needs every scope. A token that makes another one is not outlived by it."""
    await door.count_request(ADD_RATE, f"token:{owner.account.id}")
    body = await read_json(request)
    if not isinstance(body, dict):
        raise InvalidInput({"body": f"must be an object with scopes, a list of some of: {', '.join(SCOPES)}"})
    new = tokens.read(body)
    async with db.acting_for(door.pool, owner.account.id) as conn:
        made = await tokens.create(conn, owner.account.id, new, not_after=owner.expires_at)
    document = token_document(made.row) | {"token": made.token}
    return JSONResponse(jsonable_encoder(document), status_code=201, headers=_NO_STORE)


@router.delete(
    "/tokens/{token_id}",
    summary="Revoke a token",
    status_code=204,
    response_class=Response,
    responses=documents.problems(401, 403, 404, 429, 503),
)
async def revoke(door: LimitedDoor, identity: Identity, token_id: UUID) -> Response:
    """It ends at once. A token may always revoke itself; to revoke another one it needs every scope."""
    if token_id != identity.token_id:
        identity.require(*SCOPES)
    async with db.acting_for(door.pool, identity.account.id) as conn:
        await tokens.revoke(conn, identity.account.id, token_id)
    return Response(status_code=204, headers=_NO_STORE)


def token_document(row: tokens.TokenRow) -> dict[str, object]:
    """Build what `Token` describes."""
    return {
        "id": row.id,
        "name": row.name,
        "scopes": row.scopes,
        "createdAt": row.created_at,
        "expiresAt": row.expires_at,
        "usedAt": row.used_at,
    }
