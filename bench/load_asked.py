"""Make the requests: the same prompts, as signed payments for our door and as plain calls for the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

import httpx
from x402.http.utils import decode_payment_required_header, encode_payment_signature_header

from bench import load_upstream
from bench.load_litellm import KEY
from bench.wire import request
from core.settings import settings
from tests import shops
from tests.shops import MODEL, PRICE_ATOMIC, Shop


@dataclass(frozen=True)
class Asked:
    """An encoded request, and the topic of its prompt."""

    topic: str
    wire: bytes


async def paid(sellers: Sequence[Shop], count: int, prefer: str) -> list[Asked]:
    """Make requests with a payment each, for all sellers in turn, signed by one wallet for one offer of each."""
    buyer = await shops.Buyer().fund(count * PRICE_ATOMIC)
    sdk = buyer.sdk()
    async with httpx.AsyncClient(base_url=settings().public_url, trust_env=False) as http:
        offers = [(await http.get(shop.path)).headers["PAYMENT-REQUIRED"] for shop in sellers[:count]]
    required = [decode_payment_required_header(offer) for offer in offers]
    found = []
    for number in range(count):
        shop, topic = sellers[number % len(sellers)], _topic()
        payload = await sdk.create_payment_payload(required[number % len(sellers)])
        header = encode_payment_signature_header(payload)
        wire = request("POST", shop.path, {"topic": topic}, prefer=prefer, payment_signature=header)
        found.append(Asked(topic, wire))
    return found


def unpaid(count: int) -> list[Asked]:
    """Make chat completions as the openai SDK sends them."""
    topics = [_topic() for _ in range(count)]
    bodies = [{"model": MODEL, "messages": load_upstream.messages(topic)} for topic in topics]
    return [
        Asked(topic, request("POST", "/chat/completions", body, authorization=f"Bearer {KEY}"))
        for topic, body in zip(topics, bodies, strict=True)
    ]


def _topic() -> str:
    return f"rain {uuid4()}"
