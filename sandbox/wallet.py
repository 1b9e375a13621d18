"""A practice wallet for browsers: it hands out practice money and signs, over HTTP, for whoever names its account.

Its page module `wallet.js` announces it to every page that loads it (EIP-6963), and speaks EIP-1193.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from eth_account import Account as Wallet
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from core.settings import SANDBOX_ASSET, SANDBOX_NETWORK
from sandbox.book import Book

_MODULE = Path(__file__).with_name("wallet.js")
_CHAIN_ID = int(SANDBOX_NETWORK.split(":")[1])
# Every page may load it and ask it: what it signs is worthless.
_OPEN = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
_PREFLIGHT = _OPEN | {"Access-Control-Allow-Headers": "Content-Type", "Access-Control-Allow-Methods": "POST"}

_SIGNS_IN: Final = " wants you to sign in with your Ethereum account:\n"

_ALLOWANCE: Final = 1_000_000
"""What an account gets when it has less than the tenth of it: one practice USDC, in atomic units."""

UNSUPPORTED, UNRECOGNIZED_CHAIN, INVALID = 4200, 4902, -32602
"""Errors of EIP-1193, EIP-3326 and JSON-RPC."""


class Ask(BaseModel):
    """A request as EIP-1193 has it, with the name of the account."""

    account: str = Field(min_length=16, max_length=100)
    method: str = Field(max_length=60)
    params: list[Any] = Field(default=[], max_length=10)


class Objection(Exception):
    """The wallet does not do that."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def routes(book: Book) -> APIRouter:
    """Serve the wallet below `/practice`."""
    router = APIRouter(prefix="/practice")

    @router.get("/wallet.js")
    async def module() -> Response:
        """The module that pages load."""
        return Response(
            _MODULE.read_bytes(), media_type="text/javascript", headers=_OPEN | {"Cache-Control": "no-cache"}
        )

    @router.options("/wallet")
    async def preflight() -> Response:
        """A page of another origin asks whether it may ask."""
        return Response(status_code=204, headers=_PREFLIGHT)

    @router.post("/wallet")
    async def ask(asked: Ask) -> Response:
        """Answer `{result}` or `{error: {code, message}}`."""
        try:
            return JSONResponse({"result": _do(book, asked)}, headers=_OPEN)
        except Objection as objection:
            return JSONResponse({"error": {"code": objection.code, "message": str(objection)}}, headers=_OPEN)

    return router


def _do(book: Book, asked: Ask) -> object:
    wallet = _wallet(asked.account)
    match asked.method, asked.params:
        case "eth_requestAccounts" | "eth_accounts", _:
            if book.balance(wallet.address.lower()) < _ALLOWANCE // 10:
                book.mint(wallet.address.lower(), _ALLOWANCE)
            return [wallet.address.lower()]
        case "eth_chainId", _:
            return hex(_CHAIN_ID)
        case "wallet_switchEthereumChain", [{"chainId": str(chain)}]:
            if chain.lower() != hex(_CHAIN_ID):
                raise Objection(UNRECOGNIZED_CHAIN, "The practice wallet knows the practice chain only.")
            return None
        case "eth_signTypedData_v4", [str(address), str(typed)]:
            return _signature(wallet, address, typed)
        case "personal_sign", [str(message), str(address)]:
            return _signed_text(wallet, address, message)
    raise Objection(UNSUPPORTED, f"The practice wallet does not know {asked.method}.")


def _signature(wallet: LocalAccount, address: str, typed: str) -> str:
    """Sign a transfer of the practice asset, and nothing else."""
    try:
        message = json.loads(typed)
        is_ours = int(message["domain"]["chainId"]) == _CHAIN_ID and (
            message["domain"]["verifyingContract"].lower() == SANDBOX_ASSET
        )
        if address.lower() != wallet.address.lower() or not is_ours:
            raise Objection(INVALID, "The practice wallet signs transfers of practice money from its own account only.")
        return "0x" + bytes(wallet.sign_typed_data(full_message=message).signature).hex()
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Objection(INVALID, "This is no typed data (EIP-712).") from None


def _signed_text(wallet: LocalAccount, address: str, message: str) -> str:
    """Sign a message in hexadecimal (EIP-191), if it is one to sign in with (EIP-4361)."""
    try:
        text = bytes.fromhex(message.removeprefix("0x")).decode()
    except ValueError:
        raise Objection(INVALID, "The message must be UTF-8 in hexadecimal.") from None
    if address.lower() != wallet.address.lower() or f"{_SIGNS_IN}{wallet.address}\n" not in text:
        raise Objection(INVALID, "The practice wallet signs only messages to sign in with its own account.")
    return "0x" + bytes(wallet.sign_message(encode_defunct(text=text)).signature).hex()


def _wallet(account: str) -> LocalAccount:
    """Return the wallet of an account: its key follows from the name, so nothing is kept."""
    wallet: LocalAccount = Wallet.from_key(hashlib.sha256(f"practice wallet {account}".encode()).digest())
    return wallet
