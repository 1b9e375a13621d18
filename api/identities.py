"""Let creators act with tokens (JWT) of the operator's identity provider: link, list, remove, and open an account."""

from collections.abc import Mapping
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from api import documents
from api.authentication import Creator, Identity, Owner
from api.bodies import read_json
from api.door import Door, LimitedDoor, client_of
from api.rate_limits import rate
from api.sign_in import SIGN_UP_RATE
from core import db
from core.accounts import identities
from core.failures import InvalidInput, NotFound, Unauthorized
from core.settings import settings

router = APIRouter(prefix="/me/identities", tags=["creators"])
sign_up_router = APIRouter(tags=["creators"])

_LINK_RATE = rate("20/minute")
_BODY_LIMIT = 65_536
_NO_STORE = {"Cache-Control": "no-store"}


class LinkedIdentity(BaseModel):
    """Who of an identity provider may act for your account."""

    id: str
    issuer: str
    subject: str
    addedAt: str


class ToLink(BaseModel):
    """A token of the identity provider."""

    token: str = Field(description="a JWT for this door, valid now")


class ToSignUp(ToLink):
    """A token, and the account that you want, where INSTANT_SIGNUP lets you open one."""

    handle: str = Field(description="the name in your URLs, for ever")
    payouts: dict[str, str] = Field(description="where you are paid: network (CAIP-2) to address")
    invite: str | None = Field(default=None, description="the operator's invitation, where one is needed")


class SignedUp(BaseModel):
    """Your account; the token that opened it is its bearer token while it is valid."""

    handle: str


def _body(model: type[BaseModel]) -> dict[str, object]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


@router.get(
    "",
    summary="Who may sign in to your account from outside",
    response_model=list[LinkedIdentity],
    responses=documents.problems(401, 403, 429, 503),
)
async def listing(door: LimitedDoor, creator: Creator) -> Response:
    """The identities of the operator's identity provider that you have linked, the oldest first."""
    async with db.acting_for(door.pool, creator.id) as conn:
        rows = await identities.listing(conn, creator.id)
    return JSONResponse(jsonable_encoder([identity_document(row) for row in rows]), headers=_NO_STORE)


@router.post(
    "",
    summary="Link an identity to your account",
    status_code=201,
    response_model=LinkedIdentity,
    responses=documents.problems(400, 401, 403, 404, 413, 415, 429, 503),
    openapi_extra=_body(ToLink),
)
async def link(request: Request, door: LimitedDoor, identity: Identity) -> Response:
    """Takes a sign-in of the last five minutes. From then on tokens of that identity are bearer tokens here."""
    identity.require_fresh()
    await door.count_request(_LINK_RATE, f"identity:{identity.account.id}")
    fields = await _fields(request, {"token"})
    claims = await _check(door, fields)
    async with db.acting_for(door.pool, identity.account.id) as conn:
        row = await identities.link(conn, identity.account.id, claims)
    return JSONResponse(jsonable_encoder(identity_document(row)), status_code=201, headers=_NO_STORE)


@router.delete(
    "/{identity_id}",
    summary="End what an identity may do",
    status_code=204,
    response_class=Response,
    responses=documents.problems(401, 403, 404, 429, 503),
)
async def remove(door: LimitedDoor, owner: Owner, identity_id: UUID) -> Response:
    """At once. Needs every scope; tokens that were made with it stay."""
    async with db.acting_for(door.pool, owner.account.id) as conn:
        await identities.remove(conn, owner.account.id, identity_id)
    return Response(status_code=204, headers=_NO_STORE)


@sign_up_router.post(
    "/sign-up",
    summary="Open an account with an identity from outside",
    status_code=201,
    response_model=SignedUp,
    responses=documents.problems(400, 403, 404, 413, 415, 429, 503),
    openapi_extra=_body(ToSignUp),
)
async def sign_up(request: Request, door: LimitedDoor) -> Response:
    """For whom the identity provider knows and nobody here does. 404 where the operator has set none."""
    await door.count_request(SIGN_UP_RATE, f"sign-up:{client_of(request)}")
    fields = await _fields(request, {"token", "handle", "payouts", "invite"})
    handle, payouts, invite = fields.get("handle"), fields.get("payouts"), fields.get("invite")
    problems = {}
    if not isinstance(handle, str):
        problems["handle"] = "is missing: the name in your URLs, for ever"
    if not isinstance(payouts, dict) or not all(isinstance(address, str) for address in payouts.values()):
        problems["payouts"] = "must be an object with a payout address for each network"
    if not isinstance(invite, str | None):
        problems["invite"] = "must be text"
    if problems or not isinstance(handle, str) or not isinstance(payouts, dict) or not isinstance(invite, str | None):
        raise InvalidInput(problems)
    claims = await _check(door, fields)
    async with door.pool.connection() as conn:
        account = await identities.sign_up(conn, claims, handle, payouts, invite)
    return JSONResponse({"handle": account.handle}, status_code=201, headers=_NO_STORE)


async def _fields(request: Request, known: set[str]) -> Mapping[str, object]:
    if not settings().identity_issuer:
        raise NotFound
    body = await read_json(request, _BODY_LIMIT)
    if not isinstance(body, dict) or not {*body} <= known:
        raise InvalidInput({"body": f"must be an object with {', '.join(sorted(known))}"})
    return body


async def _check(door: Door, fields: Mapping[str, object]) -> identities.Claims:
    token = fields.get("token")
    try:
        if isinstance(token, str):
            return await identities.check(door.identity_keys, token)
    except Unauthorized:
        pass
    raise InvalidInput({"token": "must be a valid token of the operator's identity provider for this door"})


def identity_document(row: identities.IdentityRow) -> dict[str, object]:
    """Build what `LinkedIdentity` describes."""
    return {"id": row.id, "issuer": row.issuer, "subject": row.subject, "addedAt": row.created_at}
