"""Serve a creator's own account."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from api import documents
from api.authentication import Creator, Publisher
from api.bodies import read_json
from api.door import Door, LimitedDoor
from core import db
from core.accounts import accounts, sessions
from core.failures import InvalidInput

router = APIRouter(prefix="/me", tags=["creators"])

_NO_STORE = {"Cache-Control": "no-store"}


class Limits(BaseModel):
    """What the operator lets you do."""

    slots: int = Field(description="executions that run at once; more wait")
    queueLimit: int = Field(description="paid, unfinished executions after which nothing more is sold")
    dailySpendCapUsd: str = Field(description="the most that is spent on models in a day (UTC)")


class Wallet(BaseModel):
    """A wallet that may sign in."""

    address: str
    network: str | None = Field(description="for a contract wallet, where it is; null: its key signs in anywhere")
    addedAt: str


class Me(BaseModel):
    """Your account."""

    handle: str = Field(description="the name in your URLs, for ever")
    displayName: str = Field(description="what people read instead; empty if nothing")
    createdAt: str
    limits: Limits
    wallets: list[Wallet]


class Change(BaseModel):
    """What you may change."""

    displayName: str = Field(max_length=60)


@router.get("", summary="Your account", response_model=Me, responses=documents.problems(401, 403, 429, 503))
async def show(door: LimitedDoor, creator: Creator) -> Response:
    """Your names, limits, and the wallets that may sign in."""
    return await _answer(door, creator)


@router.patch(
    "",
    summary="Change your account",
    response_model=Me,
    responses=documents.problems(400, 401, 403, 413, 415, 429, 503),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": Change.model_json_schema()}}}
    },
)
async def change(request: Request, door: LimitedDoor, creator: Publisher) -> Response:
    """Only the display name: a handle is in the URLs that buyers have."""
    body = await read_json(request)
    fields = body if isinstance(body, dict) else {}
    name = fields.get("displayName")
    problems = {field: "cannot be changed" for field in fields if field != "displayName"}
    if not isinstance(name, str):
        problems["displayName"] = "must be a text of at most 60 characters, in one line"
    if problems or not isinstance(name, str):
        raise InvalidInput(problems)
    async with db.acting_for(door.pool, creator.id) as conn:
        await accounts.set_display_name(conn, creator.id, name)
    return await _answer(door, creator)


async def _answer(door: Door, creator: accounts.Account) -> Response:
    async with db.acting_for(door.pool, creator.id) as conn:
        document = await account_document(conn, creator.id)
    return JSONResponse(jsonable_encoder(document), headers=_NO_STORE)


async def account_document(conn: db.Connection, account_id: UUID) -> dict[str, object]:
    """Build what `Me` describes."""
    row = await accounts.profile(conn, account_id)
    wallets = await sessions.wallets(conn, account_id)
    return {
        "handle": row.handle,
        "displayName": row.display_name,
        "createdAt": row.created_at,
        "limits": {
            "slots": row.slots,
            "queueLimit": row.queue_limit,
            "dailySpendCapUsd": f"{row.daily_spend_cap_usd:f}",
        },
        "wallets": [
            {"address": wallet.address, "network": wallet.network, "addedAt": wallet.created_at} for wallet in wallets
        ],
    }
