"""Serve the wallet that pays a creator's refunds by itself: store, show, change and forget. Its key is never shown."""

from fastapi import APIRouter, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response

from api import documents, refund_records
from api.authentication import Payee
from api.bodies import read_json
from api.door import LimitedDoor
from core import db
from core.amounts import usdc
from core.failures import InvalidInput, NotFound
from core.payments import refund_wallets, refunds
from core.secrets.private import Private

router = APIRouter(prefix="/me", tags=["creators"])

_NO_STORE = {"Cache-Control": "no-store"}


@router.get(
    "/refund-wallet",
    summary="The wallet that pays your refunds",
    response_model=refund_records.RefundWallet,
    responses=documents.problems(401, 403, 404, 429, 503),
)
async def show(door: LimitedDoor, creator: Payee) -> Response:
    """Its address, cap and state; 404 if there is none."""
    async with db.acting_for(door.pool, creator.id) as conn:
        state = await refund_wallets.state(conn, creator.id)
    if state is None:
        raise NotFound
    return _answer(state)


@router.put(
    "/refund-wallet",
    summary="Let a wallet pay your refunds",
    response_model=refund_records.RefundWallet,
    responses=documents.problems(400, 401, 403, 413, 415, 429, 503),
    openapi_extra=refund_records.body(refund_records.ToStore),
)
async def put(request: Request, door: LimitedDoor, creator: Payee) -> Response:
    """Its key is sealed and never shown. Give it little money: whoever runs this service could take it."""
    body = await read_json(request)
    fields = body if isinstance(body, dict) else {}
    key, cap = fields.get("key"), fields.get("dailyCapUsdc")
    if not isinstance(key, str) or not isinstance(cap, str) or {*fields} != {"key", "dailyCapUsdc"}:
        raise InvalidInput({"body": "must be an object with key and dailyCapUsdc, both text"})
    async with db.acting_for(door.pool, creator.id) as conn:
        state = await refund_wallets.put(conn, creator.id, Private(key), cap)
    return _answer(state)


@router.patch(
    "/refund-wallet",
    summary="Change its cap, or switch it on or off",
    response_model=refund_records.RefundWallet,
    responses=documents.problems(400, 401, 403, 404, 413, 415, 429, 503),
    openapi_extra=refund_records.body(refund_records.ToChange),
)
async def change(request: Request, door: LimitedDoor, creator: Payee) -> Response:
    """What is not named stays as it is."""
    body = await read_json(request)
    fields = body if isinstance(body, dict) else {}
    cap, enabled = fields.get("dailyCapUsdc"), fields.get("enabled")
    is_well_formed = isinstance(cap, str | None) and isinstance(enabled, bool | None)
    if not fields or not is_well_formed or not {*fields} <= {"dailyCapUsdc", "enabled"}:
        raise InvalidInput({"body": "must be an object with dailyCapUsdc, or enabled, or both"})
    async with db.acting_for(door.pool, creator.id) as conn:
        state = await refund_wallets.change(conn, creator.id, daily_cap_usdc=cap, enabled=enabled)
    return _answer(state)


@router.delete(
    "/refund-wallet",
    summary="Forget the wallet that pays your refunds",
    status_code=204,
    response_class=Response,
    responses=documents.problems(401, 403, 429, 503),
)
async def remove(door: LimitedDoor, creator: Payee) -> Response:
    """Its key is deleted. What it has sent is still looked up on the chain. Succeeds also if there was none."""
    async with db.acting_for(door.pool, creator.id) as conn:
        await refund_wallets.remove(conn, creator.id)
    return Response(status_code=204, headers=_NO_STORE)


def wallet_document(state: refund_wallets.WalletState) -> dict[str, object]:
    """Build what `RefundWallet` describes."""
    return {
        "address": state.address,
        "enabled": state.enabled,
        "dailyCapUsdc": usdc(state.daily_cap_atomic),
        "paidTodayUsdc": usdc(state.paid_today_atomic),
        "trouble": state.trouble,
        "advice": state.trouble and refunds.words(state.trouble),
        "setAt": state.created_at,
    }


def _answer(state: refund_wallets.WalletState) -> Response:
    return JSONResponse(jsonable_encoder(wallet_document(state)), headers=_NO_STORE)
