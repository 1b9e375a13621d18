"""Run hundreds of buyers in front of doors that die now and then, and record every answer they get."""

import asyncio
import base64
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, TypeVar

import httpx
from x402.http.utils import decode_payment_required_header, encode_payment_signature_header
from x402.schemas import PaymentPayload

from core.settings import settings
from drills.pace import Patience, patience
from tests.shops import PRICE_ATOMIC, Buyer, Shop, named

T = TypeVar("T")

INPUTS = {"topic": "the sea"}
# Enough to be charged twice, so that a double charge would show.
_FUNDS = 3 * PRICE_ATOMIC
_PATIENCE_SECONDS = 120
_AGAIN_SECONDS = 0.3
_AT_ONCE = 30
# The statuses that end a buyer's wait: answered, refused, declined, failed.
FINAL = (200, 402, 422, 502)


@dataclass
class Purchase:
    """One buyer, one payment, and the answers to it.

    Attributes:
        told: status codes, in order.
        answers: the distinct results for the payment.
        funds: atomic units that the wallet had before; 0 if it pays for others as well.
        landed_directly: whether somebody submitted it to the chain without the door.
        wrong: false answers.
    """

    buyer: Buyer
    shop: Shop
    header: str = ""
    told: list[int] = field(default_factory=list)
    answers: set[str] = field(default_factory=set)
    funds: int = 0
    landed_directly: bool = False
    wrong: list[str] = field(default_factory=list)

    @property
    def nonce(self) -> str:
        """The nonce of the payment, as hex after 0x."""
        authorization: dict[str, str] = _payload(self).payload["authorization"]
        return authorization["nonce"]


@dataclass(frozen=True)
class Market:
    """The buyers' access to the doors and the practice facilitator.

    Attributes:
        doors: the doors' URLs, used in turn; each is down at times.
        http: the HTTP client of all buyers.
        slots: limits the number of concurrent buyers.
        unreached: how often a server could not be reached or did not answer, by the kind of error.
    """

    doors: Iterator[str]
    http: httpx.AsyncClient
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    unreached: Counter[str] = field(default_factory=Counter)

    def url(self, shop: Shop) -> str:
        """Return the URL of a shop's haiku."""
        return next(self.doors) + shop.path

    async def purchase(self, shop: Shop, faults: Sequence[str] = ()) -> Purchase:
        """Make a new wallet with money, and a payment that it signed for this shop's offer."""
        purchase = Purchase(Buyer(), shop)
        wallet = purchase.buyer.wallet
        # Asked again after a lost reply, the faucet gives twice: what counts is what the wallet has then.
        body = {"address": wallet.address, "amount": str(_FUNDS)}
        purchase.funds = int((await self._facilitator("POST", "/practice/faucet", body))["balance"])
        await self._facilitator("PUT", f"/practice/payers/{wallet.address}", {"faults": list(faults)})
        await self.sign(purchase)
        return purchase

    async def sign(self, purchase: Purchase) -> None:
        """Get an offer, and sign a payment for it."""
        while not purchase.header:
            offered = await self.ask("POST", self.url(purchase.shop), json=INPUTS)
            required = decode_payment_required_header(offered.headers["PAYMENT-REQUIRED"])
            signed = await purchase.buyer.sdk().create_payment_payload(required)
            if not purchase.funds and isinstance(signed, PaymentPayload):
                # Else a payment beside another of the same wallet for the same inputs may be taken for its repetition.
                named(signed)
            purchase.header = encode_payment_signature_header(signed)

    async def present(self, purchase: Purchase, prefer: str = "wait=10") -> httpx.Response:
        """Present the payment, and again while nothing is claimed or no door answers."""
        answer = await self.post(purchase.shop, purchase.header, INPUTS, prefer)
        purchase.told.append(answer.status_code)
        if answer.status_code == 200:
            said = answer.json()
            purchase.answers.add(f"{said['receipt']['transaction']} {said['response']}")
        return answer

    async def to_the_end(self, purchase: Purchase, prefer: str = "wait=10") -> httpx.Response:
        """Present the payment until a final answer; after a 402 no money may have moved."""
        waiting = Patience(_PATIENCE_SECONDS)
        while (answer := await self.present(purchase, prefer)).status_code not in FINAL:
            if waiting.is_over():
                purchase.wrong.append("nothing final was said")
                break
            await asyncio.sleep(0.5)
        if answer.status_code == 402 and not purchase.landed_directly and await self.paid(purchase):
            purchase.wrong.append("402 for a payment that moved")
        return answer

    async def post(self, shop: Shop, header: str, inputs: dict[str, str], prefer: str) -> httpx.Response:
        """Send one paid request."""
        return await self.ask(
            "POST", self.url(shop), json=inputs, headers={"PAYMENT-SIGNATURE": header, "Prefer": prefer}
        )

    async def ask(self, method: str, url: str, **request: Any) -> httpx.Response:
        """Send a request to the doors until one is up and ready."""
        async with patience(_PATIENCE_SECONDS):
            while True:
                answer = await self.reach(lambda: self.http.request(method, url, **request))
                if answer.status_code not in (429, 503):
                    return answer
                await asyncio.sleep(1)

    async def reach(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again while a server is away or does not answer in time, and count how often.

        Args:
            ask: what may be asked twice.
        """
        async with patience(_PATIENCE_SECONDS):
            while True:
                try:
                    return await ask()
                except httpx.TransportError as error:
                    self.unreached[type(error).__name__] += 1
                await asyncio.sleep(_AGAIN_SECONDS)

    async def land(self, purchase: Purchase) -> None:
        """Submit the payment to the chain without the door."""
        payload = _payload(purchase).model_dump(by_alias=True, exclude_none=True)
        body = {"x402Version": 2, "paymentPayload": payload, "paymentRequirements": payload["accepted"]}
        try:
            said = (await self._ask_facilitator("POST", "/settle", body)).json()
            purchase.landed_directly = said["success"]
        except httpx.TransportError as error:
            self.unreached[type(error).__name__] += 1
            purchase.landed_directly = await self.paid(purchase)

    async def paid(self, purchase: Purchase) -> bool:
        """Whether the wallet has less than it was given."""
        seen = await self._facilitator("GET", f"/practice/payers/{purchase.buyer.wallet.address}")
        return int(seen["balance"]) < purchase.funds

    async def mine(self) -> None:
        """Add a block every second, as on a chain with other users."""
        while True:
            await self._facilitator("POST", "/practice/mine?blocks=1")
            await asyncio.sleep(1)

    async def _facilitator(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        said: dict[str, Any] = (await self.reach(lambda: self._ask_facilitator(method, path, body))).json()
        return said

    async def _ask_facilitator(self, method: str, path: str, body: object) -> httpx.Response:
        answer = await self.http.request(method, settings().networks[0].facilitator_url + path, json=body)
        return answer.raise_for_status()


@asynccontextmanager
async def market(*doors: str) -> AsyncIterator[Market]:
    """Open a market for the doors at these URLs."""
    limits = httpx.Limits(max_connections=200, keepalive_expiry=2)
    async with httpx.AsyncClient(timeout=60, limits=limits, trust_env=False) as http:
        yield Market(cycle(doors), http)


def stranger(purchase: Purchase) -> str:
    """Rebuild the payment from public calldata: without the quote that only its sender has."""
    payload = _payload(purchase)
    (payload.accepted.extra or {}).pop("quoteId")
    return encode_payment_signature_header(payload)


def _payload(purchase: Purchase) -> PaymentPayload:
    return PaymentPayload.model_validate_json(base64.b64decode(purchase.header))


def seeded(*parts: object) -> random.Random:
    """Make a random generator that depends only on these values."""
    return random.Random(" ".join(map(str, parts)))  # noqa: S311 - to be repeatable, not secret
