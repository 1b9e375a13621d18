"""Serve where a creator is paid: show, change, and cancel a change."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from api import documents
from api.authentication import Identity, Payee
from api.bodies import read_json
from api.door import LimitedDoor
from core import db
from core.accounts import payouts
from core.failures import InvalidInput

router = APIRouter(prefix="/me", tags=["creators"])

_NO_STORE = {"Cache-Control": "no-store"}


class Following(BaseModel):
    """An address that is not in force yet."""

    address: str
    since: str = Field(serialization_alias="from", description="when it is in force (UTC)")


class Payout(BaseModel):
    """Where you are paid on a network."""

    network: str = Field(description="CAIP-2", examples=["eip155:8453"])
    address: str = Field(description="in force now; offers that were made before a change keep theirs")
    next: Following | None = Field(description="the address that follows; null if none")


class ToPay(BaseModel):
    """An address for a network."""

    network: str
    address: str = Field(pattern="^0x[0-9a-fA-F]{40}$")


_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": ToPay.model_json_schema()}}}}
NetworkName = Annotated[str, Path(pattern="^eip155:[1-9][0-9]{0,31}$", description="CAIP-2")]


@router.get(
    "/payouts",
    summary="Where you are paid",
    response_model=list[Payout],
    responses=documents.problems(401, 403, 429, 503),
)
async def listing(door: LimitedDoor, creator: Payee) -> Response:
    """One address on each network, and what follows it."""
    async with db.acting_for(door.pool, creator.id) as conn:
        rows = await payouts.listing(conn, creator.id)
    return _answer(rows)


@router.post(
    "/payouts",
    summary="Be paid elsewhere",
    response_model=list[Payout],
    responses=documents.problems(400, 401, 403, 413, 415, 429, 503),
    openapi_extra=_BODY,
)
async def change(request: Request, door: LimitedDoor, identity: Identity) -> Response:
    """Takes a sign-in of the last five minutes. You get a notice, and a day (or what the operator sets) to cancel."""
    identity.require_fresh()
    body = await read_json(request)
    if not isinstance(body, dict) or {*body} != {"network", "address"}:
        raise InvalidInput({"body": "must be an object with network and address"})
    async with db.acting_for(door.pool, identity.account.id) as conn:
        rows = await payouts.change(conn, identity.account.id, body["network"], body["address"])
    return _answer(rows)


@router.delete(
    "/payouts/{network}/next",
    summary="Stay with the address in force",
    status_code=204,
    response_class=Response,
    responses=documents.problems(401, 403, 404, 429, 503),
)
async def cancel(door: LimitedDoor, creator: Payee, network: NetworkName) -> Response:
    """Cancels a change that is not in force yet."""
    async with db.acting_for(door.pool, creator.id) as conn:
        await payouts.cancel(conn, creator.id, network)
    return Response(status_code=204, headers=_NO_STORE)


def _answer(rows: Sequence[payouts.PayoutRow]) -> Response:
    return JSONResponse(jsonable_encoder(payout_documents(rows)), headers=_NO_STORE)


def payout_documents(rows: Sequence[payouts.PayoutRow]) -> list[dict[str, object]]:
    """Build what a list of `Payout` describes."""
    return [
        {
            "network": row.network,
            "address": row.address,
            "next": {"address": row.next_address, "from": row.next_from} if row.next_address else None,
        }
        for row in rows
    ]
