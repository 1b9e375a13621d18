"""Serve a creator's own account."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from api import documents
from api.authentication import Creator, Publisher
from api.bodies import read_json
from api.door import Door, LimitedDoor
from core import db
from core.accounts import accounts, sessions
from core.failures import InvalidInput

router = APIRouter(prefix="/me", tags=["creators"])

_NO_STORE = {"Cache-Control": "no-store"}
_USD = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_CAPS = dict(zip(("dailySpendCapUsd", "monthlySpendCapUsd", "mostPerCallUsd"), accounts.CAPS, strict=True))


class Limits(BaseModel):
    """What the operator lets you do."""

    slots: int = Field(description="executions that run at once; more wait")
    queueLimit: int = Field(description="paid, unfinished executions after which nothing more is sold")
    dailySpendCapUsd: str = Field(description="the most that is spent on models in a day (UTC)")


class Caps(BaseModel):
    """What you let models cost, in US dollars; null: no cap of yours. Days and months are UTC."""

    dailySpendCapUsd: str | None = Field(description="in a day, within the operator's")
    monthlySpendCapUsd: str | None = Field(description="in a month")
    mostPerCallUsd: str | None = Field(description="one call; a prompt of which a call can cost more is not sold")
    spentTodayUsd: str = Field(description="what calls cost or have reserved today")
    spentThisMonthUsd: str = Field(description="likewise this month")


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
    caps: Caps
    weeklyDigest: bool = Field(description="whether you get a notice about each week that had calls")
    wallets: list[Wallet]


class Change(BaseModel):
    """What you may change; what is left out stays. Caps are exact decimals as text, and null removes one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    displayName: str = Field(default="", max_length=60)
    dailySpendCapUsd: str | None = Field(default=None, pattern=f"^{_USD.pattern}$", examples=["5.00"])
    monthlySpendCapUsd: str | None = Field(default=None, pattern=f"^{_USD.pattern}$", examples=["100"])
    weeklyDigest: bool = True
    mostPerCallUsd: str | None = Field(default=None, pattern=f"^{_USD.pattern}$", examples=["0.25"])


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
    """The display name, your caps, and whether you get a weekly digest. A handle is in the URLs that buyers have."""
    body = await read_json(request)
    changes = read_changes(body if isinstance(body, dict) else {})
    async with db.acting_for(door.pool, creator.id) as conn:
        await store_changes(conn, creator.id, changes)
    return await _answer(door, creator)


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change of an account; None stays. Of `caps`, by their columns, None removes one."""

    display_name: str | None
    weekly_digest: bool | None
    caps: Mapping[str, Decimal | None]


def read_changes(fields: Mapping[str, object]) -> Changes:
    """Read what `Change` describes.

    Raises:
        InvalidInput: names each wrong field.
    """
    problems = {str(field)[:64]: "cannot be changed" for field in fields if field not in Change.model_fields}
    if not fields:
        problems["body"] = f"must be an object with any of {', '.join(Change.model_fields)}"
    name, digest = fields.get("displayName"), fields.get("weeklyDigest")
    if "displayName" in fields and not isinstance(name, str):
        problems["displayName"] = "must be a text of at most 60 characters, in one line"
    caps: dict[str, Decimal | None] = {}
    for field in _CAPS.keys() & fields.keys():
        amount = fields[field]
        if amount is None:
            caps[_CAPS[field]] = None
        elif isinstance(amount, str) and _USD.fullmatch(amount):
            caps[_CAPS[field]] = Decimal(amount)
        else:
            problems[field] = 'must be US dollars as text with at most six decimals, such as "2.50", or null'
    if "weeklyDigest" in fields and not isinstance(digest, bool):
        problems["weeklyDigest"] = "must be true or false"
    if problems:
        raise InvalidInput(problems)
    return Changes(
        name if isinstance(name, str) else None,
        digest if isinstance(digest, bool) else None,
        caps,
    )


async def store_changes(conn: db.Connection, account_id: UUID, changes: Changes) -> None:
    """Change an account.

    Raises:
        InvalidInput: names each wrong field.
    """
    if changes.display_name is not None:
        await accounts.set_display_name(conn, account_id, changes.display_name)
    if changes.weekly_digest is not None:
        await accounts.set_weekly_digest(conn, account_id, changes.weekly_digest)
    await accounts.set_caps(conn, account_id, changes.caps)


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
        "caps": {field: _usd(getattr(row, column)) for field, column in _CAPS.items()}
        | {
            "spentTodayUsd": _usd(row.spent_today_usd),
            "spentThisMonthUsd": _usd(row.spent_this_month_usd),
        },
        "weeklyDigest": row.weekly_digest,
        "wallets": [
            {"address": wallet.address, "network": wallet.network, "addedAt": wallet.created_at} for wallet in wallets
        ],
    }


def _usd(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
