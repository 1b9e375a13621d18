"""What tests of payments share: wallets, signed payments, the practice facilitator, and servers that say anything."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
from eth_account import Account
from eth_account.signers.local import LocalAccount
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.schemas import PaymentPayload, PaymentRequirements

from core.settings import SANDBOX_ASSET, SANDBOX_ASSET_NAME, SANDBOX_NETWORK, Network
from tests import servers

PAY_TO = "0x00000000000000000000000000000000000CaFE1"


@contextmanager
def facilitator() -> Iterator[str]:
    """The practice facilitator as a process of its own, as its URL; its book is in memory."""
    port = servers.free_port()
    url = f"http://127.0.0.1:{port}"
    command = ["sandbox.facilitator", "--port", str(port), "--book", ":memory:"]
    with servers.serving(*command, ready=f"{url}/supported", environment=os.environ):
        yield url


def network(url: str) -> Network:
    """The practice network with its facilitator and node at `url`."""
    return Network(
        id=SANDBOX_NETWORK,
        asset=SANDBOX_ASSET,
        asset_name=SANDBOX_ASSET_NAME,
        facilitator_url=url,
        rpc_url=f"{url}/rpc",
        confirmations=0,
    )


def wallet() -> LocalAccount:
    """A wallet that nobody has used."""
    return Account.create()


async def funded(at: Network, *faults: str, amount: int = 2000, pay_to: str = "") -> PaymentPayload:
    """A payment (by default to a new wallet) that would settle at the practice facilitator, if not for the faults."""
    payer, url = wallet(), at.facilitator_url
    async with httpx.AsyncClient(verify=servers.TLS) as http:
        (await http.post(f"{url}/practice/faucet", json={"address": payer.address, "amount": 10**6})).raise_for_status()
        (await http.put(f"{url}/practice/payers/{payer.address}", json={"faults": faults})).raise_for_status()
    return payment(payer, requirements(amount=amount, pay_to=pay_to or wallet().address))


async def booked(at: Network, paid: PaymentPayload) -> list[str]:
    """The transactions in the book that this payment's recipient had."""
    async with httpx.AsyncClient(verify=servers.TLS) as http:
        book = await http.get(f"{at.facilitator_url}/practice/book", params={"pay_to": paid.accepted.pay_to})
    return [transfer["transaction"] for transfer in book.json()["transfers"]]


def requirements(
    *, amount: int = 2000, pay_to: str = PAY_TO, seconds: int = 300, **other: object
) -> PaymentRequirements:
    """Terms on the practice chain; `seconds` may be negative, for payments that are born expired."""
    terms: dict[str, object] = {
        "scheme": "exact",
        "network": SANDBOX_NETWORK,
        "asset": SANDBOX_ASSET,
        "amount": str(amount),
        "payTo": pay_to,
        "maxTimeoutSeconds": seconds,
        "extra": {"name": SANDBOX_ASSET_NAME, "version": "2"},
    }
    return PaymentRequirements.model_validate(terms | other)


def payment(payer: LocalAccount, terms: PaymentRequirements) -> PaymentPayload:
    """A payment signed by the SDK's own client."""
    return PaymentPayload(payload=ExactEvmScheme(payer).create_payment_payload(terms), accepted=terms)


def early_payment(payer: LocalAccount, terms: PaymentRequirements) -> PaymentPayload:
    """A payment that becomes valid in an hour."""
    now = int(time.time())
    message = {
        "from": payer.address,
        "to": terms.pay_to,
        "value": int(terms.amount),
        "validAfter": now + 3600,
        "validBefore": now + 7200,
        "nonce": secrets.token_bytes(32),
    }
    kinds = ("address", "address", "uint256", "uint256", "uint256", "bytes32")
    types = [{"name": name, "type": kind} for name, kind in zip(message, kinds, strict=True)]
    signed = payer.sign_typed_data(
        {"name": SANDBOX_ASSET_NAME, "version": "2", "chainId": 402402, "verifyingContract": SANDBOX_ASSET},
        {"TransferWithAuthorization": types},
        message,
    )
    authorization = {name: str(value) for name, value in message.items()} | {"nonce": "0x" + message["nonce"].hex()}
    return PaymentPayload(
        payload={"authorization": authorization, "signature": "0x" + signed.signature.hex()}, accepted=terms
    )


def nonce(paid: PaymentPayload) -> bytes:
    """The nonce in a payment."""
    return bytes.fromhex(paid.payload["authorization"]["nonce"].removeprefix("0x"))


def reply(status: int, body: bytes, *headers: bytes) -> bytes:
    """An HTTP answer, byte by byte."""
    lines = [b"HTTP/1.1 %d Practice" % status, b"content-length: %d" % len(body), b"connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@asynccontextmanager
async def scripted(say: Callable[[bytes], bytes | None]) -> AsyncIterator[str]:
    """A server that answers a request's body with whatever bytes `say` makes of it, then hangs up; as its URL.

    None answers nothing, and hangs up only when the caller does.
    """

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = (line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            length = int(next(lengths, 0))
            said = say(await reader.readexactly(length))
            if said is None:
                await reader.read()
            else:
                writer.write(said)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
