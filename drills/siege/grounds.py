"""What the attackers know, and how they reach the door: each from addresses of its own, all of them loopback."""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from x402.http.utils import decode_payment_required_header
from x402.schemas import PaymentRequired

from drills.market import INPUTS
from tests import practice
from tests.servers import TLS
from tests.shops import Buyer, Shop

PROXY = "127.0.4.1"
"""The address of the proxy that the door trusts, from which attackers claim to be anybody."""

_TIMEOUT_SECONDS = 30
# A quote lives for five minutes.
_OFFER_SECONDS = 60
_KNOWN = 200

Said = int | str
"""The status that the door answered, or in a word what happened instead."""


@dataclass(eq=False)
class Grounds:
    """The door, the shops, and what is public about the honest buyers.

    Attributes:
        door: the door's URL.
        shop: where honest buyers buy, and strangers attack.
        cut, malformed, bomb: shops whose model's answers are cut off, no JSON, and hard to parse.
        victim: an honest wallet in whose name strangers sign.
        headers: payments of honest buyers, of which attackers know what the chain shows.
        executions: ids of honest buyers' executions.
    """

    door: str
    shop: Shop
    cut: Shop
    malformed: Shop
    bomb: Shop
    victim: Buyer
    headers: deque[str] = field(default_factory=lambda: deque(maxlen=_KNOWN))
    executions: deque[str] = field(default_factory=lambda: deque(maxlen=_KNOWN))
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)
    _offers: dict[str, tuple[float, PaymentRequired]] = field(default_factory=dict)

    async def http(self, source: str) -> httpx.AsyncClient:
        """A client at this address, which keeps its connections."""
        if source not in self._clients:
            self._clients[source] = await self.stack.enter_async_context(client(source))
        return self._clients[source]

    async def get(self, source: str, path: str, **headers: str) -> httpx.Response:
        """Ask without a payment."""
        return await (await self.http(source)).get(self.door + path, headers=headers)

    async def pay(
        self, source: str, shop: Shop, payment: str, inputs: object = INPUTS, **headers: str
    ) -> httpx.Response:
        """Present a payment."""
        url = self.door + shop.path
        sent = {"PAYMENT-SIGNATURE": payment} | headers
        return await (await self.http(source)).post(url, json=inputs, headers=sent)

    async def offer(self, source: str, shop: Shop) -> PaymentRequired:
        """A recent offer of a shop, asked for at most once a minute."""
        at, offer = self._offers.get(shop.path, (0.0, None))
        if offer is not None and time.monotonic() - at < _OFFER_SECONDS:
            return offer
        answer = await (await self.http(source)).post(self.door + shop.path, json=INPUTS)
        if answer.status_code != httpx.codes.PAYMENT_REQUIRED:
            raise NoOffer(answer.status_code)
        asked = PaymentRequired.model_validate(decode_payment_required_header(answer.headers["PAYMENT-REQUIRED"]))
        self._offers[shop.path] = (time.monotonic(), asked)
        return asked

    async def signed(self, source: str, shop: Shop, buyer: Buyer) -> dict[str, Any]:
        """A payment that this wallet signed for a recent offer, as a JSON object."""
        offer = await self.offer(source, shop)
        payment = practice.payment(buyer.wallet, offer.accepts[0])
        payment.resource = offer.resource
        document: dict[str, Any] = payment.model_dump(by_alias=True, exclude_none=True)
        return document


class NoOffer(Exception):
    """The door made no offer; the argument is its status."""


@dataclass(frozen=True)
class Attack:
    """One way to attack.

    Attributes:
        name: for the line of JSON.
        per_second: how often.
        strike: strikes once; returns what the door said.
        may_succeed: whether a status below 400 is right, as for those who pay.
    """

    name: str
    per_second: float
    strike: Callable[[Grounds, random.Random], Awaitable[Said]]
    may_succeed: bool = False

    def is_wrong(self, said: Said) -> bool:
        """Whether the door may not say that: a success for nothing, a crash, or a redirect to the attacker."""
        if isinstance(said, int):
            return said == httpx.codes.INTERNAL_SERVER_ERROR or (said < 400 and not self.may_succeed)
        return said.startswith("wrong")


@asynccontextmanager
async def client(source: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client at this address of the machine."""
    limits = httpx.Limits(max_connections=50, keepalive_expiry=2)
    transport = httpx.AsyncHTTPTransport(verify=TLS, local_address=source, limits=limits)
    async with httpx.AsyncClient(transport=transport, timeout=_TIMEOUT_SECONDS) as http:
        yield http


async def connect(grounds: Grounds, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection from this address, to send what no HTTP library would."""
    url = httpx.URL(grounds.door)
    return await asyncio.open_connection(url.host, url.port, local_addr=(source, 0))


async def raw(grounds: Grounds, source: str, request: bytes) -> bytes:
    """Send these bytes; return all that the door answers until it closes the connection."""
    reader, writer = await connect(grounds, source)
    try:
        writer.write(request)
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            return await reader.read()
    finally:
        writer.close()


def status_of(answer: bytes) -> Said:
    """The status in an answer."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else "closed"
