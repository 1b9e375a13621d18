"""Sellers that a buyer has to get along with: one whose reply gets lost, and one that is not ours."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests import practice

TOKEN = "0x" + "77" * 20


@asynccontextmanager
async def losing_the_first_paid_reply(door: str, *, after: int = 0) -> AsyncIterator[str]:
    """A proxy in front of the door, as its URL: it reads the first answer to a payment, and hangs up on the buyer.

    Args:
        door: the door's URL.
        after: bytes of that answer that the buyer still gets.
    """
    lost: list[bytes] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", urlsplit(door).port)
        paid = asyncio.Event()

        async def upwards() -> None:
            while data := await reader.read(65_536):
                if b"payment-signature:" in data.lower():
                    paid.set()
                back.write(data)

        async def downwards() -> None:
            passed = b""
            while data := await there.read(65_536):
                if paid.is_set() and not lost:
                    passed += data
                    if len(passed) >= after:
                        writer.write(passed[:after])
                        await writer.drain()
                        lost.append(data)
                        return
                    continue
                writer.write(data)

        try:
            await asyncio.wait(
                [asyncio.create_task(upwards()), asyncio.create_task(downwards())], return_when="FIRST_COMPLETED"
            )
        finally:
            back.close()
            writer.close()

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    assert lost


@asynccontextmanager
async def strange_seller(*silent: int) -> AsyncIterator[tuple[str, list[str | None]]]:
    """Somebody who answers every request with the same 402, or, if its number is in `silent`, not at all.

    Yields:
        The URL, and the payment of each request so far.
    """
    payments: list[str | None] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        payments.append(next((line[19:] for line in lines if line.lower().startswith("payment-signature: ")), None))
        if len(payments) - 1 not in silent:
            writer.write(_offer())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", payments


@asynccontextmanager
async def leading_away() -> AsyncIterator[tuple[str, str, list[bytes]]]:
    """A seller who accepts a payment, names a status URL elsewhere, and then answers with pictures of all kinds.

    Yields:
        The URL, the URL of another origin, and the requests to that one.
    """
    asked_elsewhere: list[bytes] = []
    paid = 0

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked_elsewhere.append(await reader.readuntil(b"\r\n"))
        writer.close()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal paid
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1]
        if path == b"/moved.png":
            writer.write(practice.reply(302, b"", b"location: " + f"{elsewhere}x.png".encode()))
        elif path == b"/endless.png":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\nconnection: close\r\n\r\n")
            with suppress(ConnectionError):
                while True:
                    writer.write(bytes(1 << 20))
                    await writer.drain()
        elif path == b"/small.png":
            writer.write(practice.reply(200, b"small", b"content-type: image/png"))
        elif b"payment-signature: " not in head.lower():
            writer.write(_offer())
        elif (paid := paid + 1) == 1:
            body = {"jobId": "1", "statusUrl": f"{elsewhere}status", "retryAfterSeconds": 0.1}
            writer.write(practice.reply(202, json.dumps(body).encode()))
        else:
            images = [f"{url}moved.png", f"{url}endless.png", f"{elsewhere}other.png", f"{url}small.png"]
            writer.write(practice.reply(200, json.dumps({"response": "", "images": images}).encode()))
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async with (
        await asyncio.start_server(converse, "127.0.0.1", 0) as server,
        await asyncio.start_server(listen, "127.0.0.1", 0) as other,
    ):
        url, elsewhere = (f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}/" for one in (server, other))
        yield url, elsewhere, asked_elsewhere


def _offer() -> bytes:
    """A 402 with an offer in TOKEN."""
    extra = {"name": "USDC", "version": "2"}
    terms = {"scheme": "exact", "network": "eip155:402402", "amount": "10", "asset": TOKEN, "payTo": "0x" + "88" * 20}
    entry = terms | {"maxTimeoutSeconds": 60, "extra": extra}
    offer = {"x402Version": 2, "error": "no", "resource": {"url": "http://127.0.0.1"}, "accepts": [entry]}
    return practice.reply(402, b"", b"payment-required: " + base64.b64encode(json.dumps(offer).encode()))
