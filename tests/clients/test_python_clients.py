"""The stock Python clients lose a reply on the way, and call again as their documentation says."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
import requests
from x402 import x402ClientSync
from x402.http.clients import x402_requests
from x402.http.clients.httpx import PaymentError
from x402.http.clients.requests import PaymentError as RequestsPaymentError
from x402.mechanisms.evm.exact.register import register_exact_evm_client
from x402.schemas import PaymentCreationContext

from tests import doors, servers, shops, wire
from tests.docs.pages import file_of
from tests.refusals import TOPIC
from tests.shops import Buyer, Shop, allowed_assets

Call = Callable[[str, dict[str, str]], Awaitable[dict[str, Any]]]

LOST = (PaymentError, RequestsPaymentError, httpx.TransportError, requests.ConnectionError)


def of_httpx(buyer: Buyer, identifier: str | None) -> Call:
    """The SDK's client for httpx."""
    sdk = buyer.sdk()
    if identifier:
        sdk.on_before_payment_creation(partial(name, identifier))

    async def call(url: str, headers: dict[str, str]) -> dict[str, Any]:
        async with shops.x402HttpxClient(sdk, timeout=30) as http:
            said: dict[str, Any] = (await http.post(url, json=TOPIC, headers=headers)).json()
            return said

    return call


def of_requests(buyer: Buyer, identifier: str | None) -> Call:
    """The SDK's client for requests."""
    sdk = register_exact_evm_client(x402ClientSync(), buyer.wallet)
    sdk.set_spend_controls({"allowed_assets": allowed_assets()})
    if identifier:
        sdk.on_before_payment_creation(partial(name, identifier))

    async def call(url: str, headers: dict[str, str]) -> dict[str, Any]:
        with x402_requests(sdk) as http:
            answer = await asyncio.to_thread(http.post, url, json=TOPIC, headers=headers, timeout=30)
        said: dict[str, Any] = answer.json()
        return said

    return call


def of_the_docs(buyer: Buyer, identifier: str | None) -> Call:
    """The client of docs/buyers.md, as it stands there."""
    names: dict[str, Any] = {}
    exec(file_of("docs/buyers.md", "buy.py"), names)  # noqa: S102 - our own page
    names["os"] = SimpleNamespace(environ={"PRIVATE_KEY": buyer.wallet.key})

    async def call(url: str, _headers: dict[str, str]) -> dict[str, Any]:
        said: dict[str, Any] = await names["buy"](url, TOPIC, identifier)
        return said

    return call


@pytest.mark.parametrize("client", [of_httpx, of_requests, of_the_docs])
async def test_an_answer_that_was_lost_on_the_way(
    door: str, shop: Shop, buyer: Buyer, client: Callable[[Buyer, str | None], Call]
) -> None:
    """The door has written the answer out, so only the identifier leads back to it: two calls, one settlement."""
    call = client(buyer, uuid4().hex)
    async with wire.to(door) as line:
        line.lose(b"HTTP/1.1 200")
        with pytest.raises(LOST):
            await call(line.url + shop.path, {"Prefer": "wait=20"})
        assert len(await shop.received()) == 1
        said = await call(line.url + shop.path, {"Prefer": "wait=20"})

    assert said["receipt"]["transaction"] == (await shop.received())[0]["transaction"]
    assert said["response"]
    assert await buyer.settles() == 1


@pytest.mark.parametrize("client", [of_httpx, of_requests])
async def test_a_202_that_was_lost_on_the_way(
    door: str, shop: Shop, buyer: Buyer, client: Callable[[Buyer, str | None], Call]
) -> None:
    """A client that knows no identifier calls again while nobody has the answer: two calls, one settlement."""
    await shop.openrouter(latency_seconds=1)
    call = client(buyer, None)
    async with wire.to(door) as line:
        line.lose(b"HTTP/1.1 202")
        with pytest.raises(LOST):
            await call(line.url + shop.path, {"Prefer": "respond-async"})
        said = await call(line.url + shop.path, {"Prefer": "wait=20"})

    assert said["receipt"]["transaction"] == (await shop.received())[0]["transaction"]
    assert said["response"]
    assert await buyer.settles() == 1


async def test_the_docs_client_polls(surroundings: Path, shop: Shop, buyer: Buyer) -> None:
    """From a door that does not wait as long as the client asks, it gets 202, and polls for the answer."""
    await shop.openrouter(latency_seconds=1)
    call = of_the_docs(buyer, uuid4().hex)
    with doors.door(surroundings, servers.free_port(), INSTANT_MAX_WAIT_SECONDS="0.1") as hasty:
        said = await call(hasty.url + shop.path, {})
    assert said["state"] == "succeeded"
    assert said["response"]
    assert await buyer.settles() == 1


def name(identifier: str, context: PaymentCreationContext) -> None:
    """Name the purchase before it is signed."""
    extensions = context.payment_required.extensions
    shops.append_payment_identifier_to_extensions(extensions, identifier)
