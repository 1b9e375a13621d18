"""Let creators pay their refunds from a wallet of theirs: what is due, what to sign, and what was signed.

The wallet's key stays where it is: the door records an authorization, the wallet signs it, and the door sends it.
"""

import asyncio
import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response

from api import documents, refund_records
from api.authentication import Payee
from api.bodies import read_json
from api.door import LimitedDoor
from api.rate_limits import rate
from core import db
from core.amounts import usdc
from core.failures import InvalidInput, NotFound
from core.payments import refund_authorizations, refund_payment, refund_transfers
from core.payments.refund_authorizations import Token
from core.payments.refund_payment import Payable

router = APIRouter(prefix="/me/refunds", tags=["creators"])

# Each asks a node, and most a facilitator.
_RATE = rate("120/minute")
_MOST = 1_000
_NO_STORE = {"Cache-Control": "no-store"}
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}")


@router.get(
    "",
    summary="What you owe",
    response_model=refund_records.DueRefunds,
    responses=documents.problems(400, 401, 403, 429, 503),
)
async def listing(
    door: LimitedDoor,
    creator: Payee,
    wallet: Annotated[
        str,
        Query(description="its balances are told too", json_schema_extra={"pattern": f"^({_ADDRESS.pattern})?$"}),
    ] = "",
) -> Response:
    """Calls that were paid, failed and have no re-run left, the oldest thousand first."""
    if wallet and not _ADDRESS.fullmatch(wallet):
        raise InvalidInput({"wallet": "must be 0x and 40 hexadecimal digits"})
    await door.count_request(_RATE, f"refund:{creator.id}")
    async with db.acting_for(door.pool, creator.id) as conn:
        due = await refund_payment.due(conn, account_id=creator.id, most=_MOST)
    networks = {refund.network for refund in due} if wallet else ()
    has = await refund_payment.balances(door.clients, wallet.lower(), networks)
    rows = [_refund_document(refund, door.clients.networks.get(refund.network)) for refund in due]
    return _answer(
        {"refunds": rows, "balances": {name: None if sum_ is None else usdc(sum_) for name, sum_ in has.items()}}
    )


@router.post(
    "/{execution_id}/transfer",
    summary="Record a refund's transfer, for your wallet to sign",
    response_model=refund_records.ToSign,
    responses=documents.problems(400, 401, 403, 404, 413, 415, 429, 503),
    openapi_extra=refund_records.body(refund_records.Payer),
)
async def reserve(request: Request, door: LimitedDoor, creator: Payee, execution_id: UUID) -> Response:
    """From now on no other wallet can pay it, until the chain shows that this one's authorization ended unused."""
    wallet = (await _fields(request, wallet=_ADDRESS))["wallet"].lower()
    await door.count_request(_RATE, f"refund:{creator.id}")
    async with db.acting_for(door.pool, creator.id) as conn:
        due = await refund_payment.due(conn, account_id=creator.id, execution_id=execution_id)
    if due and (found := await refund_payment.find_landed(door.pool, door.clients, due[0], wallet)):
        return _answer({"authorization": None, "token": None, "reason": found.reason or "not_due"})
    async with db.acting_for(door.pool, creator.id) as conn:
        reserved = await refund_transfers.reserve(conn, execution_id, wallet)
        if isinstance(reserved, str):
            return _answer({"authorization": None, "token": None, "reason": reserved})
        network = door.clients.networks.get(reserved.network)
        if network is None or network.asset.lower() != reserved.asset:
            # With this the transaction ends, and nothing is recorded.
            raise InvalidInput({"executionId": "its asset is not served here any more"})
    authorization = refund_authorizations.authorization_of(reserved)
    return _answer({"authorization": authorization, "token": _token_document(network), "reason": None})


@router.put(
    "/{execution_id}/transfer",
    summary="Pay a refund with what your wallet signed",
    response_model=refund_records.RefundPayment,
    responses=documents.problems(400, 401, 403, 404, 413, 415, 429, 503),
    openapi_extra=refund_records.body(refund_records.Signed),
)
async def send(request: Request, door: LimitedDoor, creator: Payee, execution_id: UUID) -> Response:
    """The signature must be over what was recorded. Repeat it after a lost reply: the chain takes it once."""
    fields = await _fields(request, wallet=_ADDRESS, signature=_SIGNATURE)
    await door.count_request(_RATE, f"refund:{creator.id}")
    async with db.acting_for(door.pool, creator.id) as conn:
        reserved = await refund_transfers.find_reserved(conn, execution_id, fields["wallet"].lower())
    signature, network = bytes.fromhex(fields["signature"][2:]), door.clients.networks.get(reserved.network)
    if network is None or network.asset.lower() != reserved.asset:
        raise NotFound
    if not refund_authorizations.is_signed(network, reserved, signature):
        raise InvalidInput({"signature": "is not this wallet's, over what was recorded; ask for that again"})
    # It moves money, so it outlives the connection.
    sent = await asyncio.shield(door.spawn(refund_transfers.send(door.pool, door.clients, reserved, signature)))
    return _answer(
        {
            "executionId": execution_id,
            "state": sent.state,
            "reason": None if sent.state == "paid" else sent.reason,
            "transaction": sent.transaction,
        }
    )


async def _fields(request: Request, **forms: re.Pattern[str]) -> dict[str, str]:
    """Read a body that has exactly these texts.

    Raises:
        InvalidInput: it has not.
    """
    body = await read_json(request)
    if not isinstance(body, dict) or body.keys() != forms.keys():
        raise InvalidInput({"body": f"must be an object with {' and '.join(forms)}"})
    wrong = {
        name: "must be 0x and hexadecimal digits"
        for name, form in forms.items()
        if not isinstance(body[name], str) or not form.fullmatch(body[name])
    }
    if wrong:
        raise InvalidInput(wrong)
    return dict(body)


def _refund_document(refund: Payable, network: Token | None) -> dict[str, object]:
    is_served = network is not None and network.asset.lower() == refund.asset
    return {
        "executionId": refund.execution_id,
        "network": refund.network,
        "asset": refund.asset,
        "token": _token_document(network) if network is not None and is_served else None,
        "payTo": refund.pay_to,
        "amountUsdc": usdc(refund.amount_atomic),
        "dueAt": refund.due_at,
        "receivedBy": refund.received_by,
        "payout": refund.payout,
        "boundTo": refund.bound_to,
    }


def _token_document(token: Token) -> dict[str, object]:
    return {
        "chainId": token.chain_id,
        "address": token.asset,
        "name": token.asset_name,
        "version": token.asset_version,
    }


def _answer(document: object) -> JSONResponse:
    return JSONResponse(jsonable_encoder(document), headers=_NO_STORE)
