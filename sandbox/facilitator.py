"""A practice facilitator: real x402 v2 checks, and settlement on a chain that exists only in its own book.

Its settlements are worthless elsewhere: an unassigned chain id, and an asset without a contract.

Everything runs on the event loop without threads. A settlement takes less time than handing it to a thread, and the
event loop serves as the lock around the book.
"""

import argparse
import asyncio
import secrets
import socket
import sqlite3
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, StringConstraints
from starlette.types import Receive, Scope, Send
from x402.mechanisms.evm.constants import ERR_SETTLEMENT_PENDING, ERR_TRANSACTION_FAILED, SCHEME_EXACT
from x402.schemas import SettleRequest, SettleResponse, SupportedKind, SupportedResponse, VerifyRequest, VerifyResponse

from core.settings import SANDBOX_NETWORK
from sandbox import bazaar, node, wallet
from sandbox.book import Book, Reverted, Transaction
from sandbox.checks import (
    ERR_INVALID_PAYLOAD,
    Address,
    Payment,
    is_outside_schema,
    objection,
    read,
    too_early_or_late,
    unpayable,
)

Fault = Annotated[
    str,
    StringConstraints(
        pattern=r"^(lose_reply|pending|pending_never|down|verify_down|front_run|cancelled"
        r"|refuse:[a-z0-9_]+|slow(_before)?:[0-9]+(\.[0-9]+)?)$"
    ),
]


class Faucet(BaseModel):
    """Money to mint: `amount` in atomic units."""

    address: Address
    amount: int = Field(gt=0, le=10**15)


class Faults(BaseModel):
    """The faults of a payer's next calls, one each, in this order.

    Settle: `lose_reply` (settles, then the connection breaks) · `pending` (settles, answers 202 settlement_pending) ·
    `pending_never` (the same answer, settles nothing) · `down` (503) · `refuse:REASON` · `slow:SECONDS` (settles, then
    waits) · `slow_before:SECONDS` (waits, then settles) · `front_run` (the transfer happens in another transaction
    than the failed one of the answer) · `cancelled` (the payer has just cancelled the authorization).
    Verify: `verify_down` (503).
    """

    faults: list[Fault]


@dataclass
class _Payer:
    settles: int = 0
    verifies: int = 0
    settle_faults: deque[str] = field(default_factory=deque)
    verify_faults: deque[str] = field(default_factory=deque)


class _BrokenReply(Response):
    """A response that breaks off before its body: uvicorn closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"400")]})


class Practice:
    """The facilitator, its chain's node and the control endpoints, over one book. All addresses are lower-case."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._payers: defaultdict[str, _Payer] = defaultdict(_Payer)
        self._listing = bazaar.Listing()

    async def supported(self) -> Response:
        """GET /supported: exact on the practice chain, nothing else; it lists services."""
        kind = SupportedKind(x402_version=2, scheme=SCHEME_EXACT, network=SANDBOX_NETWORK)
        return _json(SupportedResponse(kinds=[kind], extensions=[bazaar.KEY], signers={"eip155:*": []}))

    async def verify(self, request: Request) -> Response:
        """POST /verify: would this payment settle now? 400 if it is malformed, without a verdict as CDP's is."""
        body = await request.body()
        if is_outside_schema(body):
            return _outside_schema()
        payment = read(VerifyRequest, body)
        if payment is None:
            return _json(VerifyResponse(is_valid=False, invalid_reason=ERR_INVALID_PAYLOAD), status=400)
        signed = payment.authorization
        payer = self._payers[signed.payer]
        payer.verifies += 1
        if payer.verify_faults and payer.verify_faults.popleft() == "verify_down":
            return Response("down for practice", status_code=503)
        reason = objection(payment) or too_early_or_late(signed, time.time()) or unpayable(self.book, signed)
        return _json(VerifyResponse(is_valid=reason is None, invalid_reason=reason, payer=signed.payer))

    async def settle(self, request: Request) -> Response:
        """POST /settle: move the money, at most once per payer and nonce. 400 if it is malformed."""
        body = await request.body()
        if is_outside_schema(body):
            return _outside_schema()
        payment = read(SettleRequest, body)
        if payment is None:
            return _json(_refused(ERR_INVALID_PAYLOAD, None), status=400)
        payer = self._payers[payment.authorization.payer]
        payer.settles += 1
        fault, _, detail = (payer.settle_faults.popleft() if payer.settle_faults else "").partition(":")
        match fault:
            case "down":
                return Response("down for practice", status_code=503)
            case "refuse":
                return _json(_refused(detail, payment))
            case "pending_never":
                return _json(_refused(ERR_SETTLEMENT_PENDING, payment, _made_up_hash()), status=202)
            case "slow_before":
                await asyncio.sleep(float(detail))
            case "cancelled":
                with suppress(Reverted):
                    self.book.cancel(payer=payment.authorization.payer, nonce=payment.authorization.nonce)
        outcome = self._transfer(payment)
        if outcome.success:
            self._listing.note(payment.presented, payment.requirements)
        match fault:
            case "lose_reply":
                return _BrokenReply()
            case "slow":
                await asyncio.sleep(float(detail))
            case "pending" if outcome.success:
                return _json(_refused(ERR_SETTLEMENT_PENDING, payment, outcome.transaction), status=202)
            case "front_run" if outcome.success:
                return _json(_refused(ERR_TRANSACTION_FAILED, payment, _made_up_hash()))
        return _json(outcome)

    async def rpc(self, request: Request) -> Response:
        """POST /rpc: JSON-RPC of a node on the practice chain."""
        return JSONResponse(node.answer(self.book, await request.body()))

    async def faucet(self, wanted: Faucet) -> dict[str, object]:
        """POST /practice/faucet: mint."""
        minted = self.book.mint(wanted.address, wanted.amount)
        return {"transaction": minted.hash, "balance": self.book.balance(wanted.address)}

    async def mine(self, blocks: Annotated[int, Field(gt=0, le=100_000)]) -> dict[str, object]:
        """POST /practice/mine?blocks=N: add empty blocks."""
        return {"number": self.book.mine(blocks).number}

    async def transfers(self, pay_to: Address | None = None) -> dict[str, object]:
        """GET /practice/book: every settled payment, and what each recipient received, in atomic units."""
        transfers = self.book.transfers(pay_to)
        received: defaultdict[str, int] = defaultdict(int)
        for transfer in transfers:
            received[str(transfer.pay_to)] += transfer.amount or 0
        return {"transfers": [_shown(row) for row in transfers], "received": received}

    async def transfer(self, transaction: str) -> Response:
        """GET /practice/tx/{hash}: one settled payment, at the address that an explorer gives it (EIP-3091)."""
        found = self.book.transaction(transaction.lower())
        return JSONResponse(_shown(found)) if found else Response("no such transaction", status_code=404)

    async def listed(self) -> dict[str, object]:
        """GET /discovery/resources: the services that were paid for, as their offers tell of them."""
        return self._listing.page()

    async def plan(self, address: Address, wanted: Faults) -> dict[str, object]:
        """PUT /practice/payers/{address}: replace this payer's queued faults. They end with the process."""
        payer = self._payers[address]
        payer.verify_faults = deque(fault for fault in wanted.faults if fault.startswith("verify_"))
        payer.settle_faults = deque(fault for fault in wanted.faults if not fault.startswith("verify_"))
        return await self.payer(address)

    async def payer(self, address: Address) -> dict[str, object]:
        """GET /practice/payers/{address}: calls since the process began, and the balance in atomic units."""
        payer = self._payers[address]
        return {"settles": payer.settles, "verifies": payer.verifies, "balance": self.book.balance(address)}

    def _transfer(self, payment: Payment) -> SettleResponse:
        signed = payment.authorization
        if reason := objection(payment):
            return _refused(reason, payment)
        try:
            made = self.book.settle(
                payer=signed.payer,
                pay_to=signed.to,
                amount=int(signed.value),
                nonce=signed.nonce,
                valid_after=int(signed.valid_after),
                valid_before=int(signed.valid_before),
            )
        except Reverted as reverted:
            return _refused(str(reverted), payment)
        return SettleResponse(
            success=True, transaction=made.hash, network=SANDBOX_NETWORK, payer=signed.payer, amount=signed.value
        )


def create_app(book_path: Path | Literal[":memory:"]) -> FastAPI:
    """Create the facilitator as an ASGI app.

    Args:
        book_path: the file of its book; ":memory:" for a book that ends with the app.

    Raises:
        sqlite3.Error: the book cannot be opened.
    """
    practice = Practice(Book(book_path))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        practice.book.close()

    app = FastAPI(title="Practice facilitator (no value)", lifespan=lifespan)
    app.add_api_route("/supported", practice.supported, methods=["GET"])
    app.add_api_route("/verify", practice.verify, methods=["POST"])
    app.add_api_route("/settle", practice.settle, methods=["POST"])
    app.add_api_route("/rpc", practice.rpc, methods=["POST"])
    app.add_api_route("/practice/faucet", practice.faucet, methods=["POST"])
    app.add_api_route("/practice/mine", practice.mine, methods=["POST"])
    app.add_api_route("/discovery/resources", practice.listed, methods=["GET"])
    app.add_api_route("/practice/book", practice.transfers, methods=["GET"])
    app.add_api_route("/practice/tx/{transaction}", practice.transfer, methods=["GET"])
    app.include_router(wallet.routes(practice.book))
    app.add_api_route("/practice/payers/{address}", practice.plan, methods=["PUT"])
    app.add_api_route("/practice/payers/{address}", practice.payer, methods=["GET"])
    return app


def _shown(row: Transaction) -> dict[str, object]:
    return {"transaction": row.hash, "payer": row.payer, "payTo": row.pay_to, "amount": row.amount, "nonce": row.nonce}


def _refused(reason: str, payment: Payment | None, transaction: str = "") -> SettleResponse:
    payer = payment.authorization.payer if payment else None
    return SettleResponse(
        success=False, error_reason=reason, transaction=transaction, network=SANDBOX_NETWORK, payer=payer
    )


def _json(answer: SettleResponse | VerifyResponse | SupportedResponse, status: int = 200) -> Response:
    return JSONResponse(answer.model_dump(by_alias=True, exclude_none=True), status_code=status)


def _outside_schema() -> Response:
    """Answer as CDP does to a body that its schema rejects: an error, and no verdict."""
    error = {
        "errorType": "invalid_request",
        "errorMessage": "the request does not fit the schema",
        "correlationId": "0",
    }
    return JSONResponse(error, status_code=400)


def _made_up_hash() -> str:
    """Make a transaction hash that never reached the chain."""
    return "0x" + secrets.token_hex(32)


def main() -> None:
    """Serve on loopback only; exit 2 with one line if the port or the book is unavailable."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.facilitator", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--book", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        listener = socket.create_server(("127.0.0.1", arguments.port))
        app = create_app(arguments.book)
    except OSError:
        parser.exit(2, f"practice facilitator: port {arguments.port} is taken\n")
    except sqlite3.Error:
        parser.exit(2, f"practice facilitator: {arguments.book} cannot be opened as a book\n")
    uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
