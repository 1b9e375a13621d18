"""Offers to many concurrent buyers: each has its own quote, and none is older than its request."""

import asyncio
import time
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import httpx
from x402.http.utils import decode_payment_required_header

from api.offers import Offered
from core import db
from core.resources import readiness
from tests.shops import Shop

BUYERS = 32


def quotes(offered: httpx.Response) -> set[str]:
    """The quotes in both forms of an offer."""
    header = decode_payment_required_header(offered.headers["PAYMENT-REQUIRED"])
    return {entry.extra["quoteId"] for entry in header.accepts} | {
        entry["extra"]["quoteId"] for entry in offered.json()["accepts"]
    }


async def test_every_buyer_has_their_own_quote(door: str, shop: Shop) -> None:
    """No two offers share a quote, because a known quote could fetch another buyer's answer."""
    async with httpx.AsyncClient(timeout=30) as http:
        offers = await asyncio.gather(*(http.get(door + shop.path) for _ in range(BUYERS)))

    found = [quotes(offered) for offered in offers]
    assert [len(one) for one in found] == [1] * BUYERS
    assert len(set.union(*found)) == BUYERS


async def test_an_offer_says_what_is_sold(door: str, shop: Shop) -> None:
    """How the model is asked, who serves it, and how long each input may be; a longer one is refused before payment."""
    async with db.pool() as pool, httpx.AsyncClient(timeout=30) as http:
        await shop.publish(
            pool,
            parameters=[{"name": "topic", "max_length": 7}],
            reasoning_effort="low",
            providers={"only": ["openai", "azure"], "order": ["azure"]},
            prompt_shield="block",
        )
        offered = (await http.get(door + shop.path)).json()
        refused = await http.post(door + shop.path, json={"topic": "too long"})

    assert offered["product"]["reasoningEffort"] == "low"
    assert offered["product"]["providers"] == {"only": ["openai", "azure"], "order": ["azure"]}
    assert offered["product"]["withheld"] == {"days": 30, "calls": 0, "share": "0.0000"}
    assert any("private instructions is withheld" in rule for rule in offered["rules"])
    assert offered["inputs"]["properties"]["topic"]["maxLength"] == 7
    assert refused.status_code == 400
    assert refused.json()["fields"] == {"topic": "Parameter 'topic' is longer than 7 characters"}


async def test_inputs_in_the_url_are_not_read(door: str, shop: Shop) -> None:
    """The offer says so to whoever puts an input there, and nothing to others."""
    async with httpx.AsyncClient(timeout=30) as http:
        misled = [await http.request(method, f"{door}{shop.path}?topic=sea&utm=x") for method in ("GET", "POST")]
        other = await http.get(f"{door}{shop.path}?utm=x")

    assert [one.status_code for one in misled] == [402, 402]
    assert {one.json()["hint"] for one in misled} == {
        "Inputs belong into the body, as JSON: topic in the URL is not read, because logs keep URLs."
    }
    assert "hint" not in other.json()


async def test_an_offer_is_never_older_than_its_question(door: str, shop: Shop) -> None:
    """Under constant load, a request that comes after a new price was published gets the new price."""
    published = Decimal("0.01")
    done = asyncio.Event()

    async def keep_asking(http: httpx.AsyncClient) -> None:
        while not done.is_set():
            least = published
            offered = await http.get(door + shop.path)
            assert Decimal(offered.json()["product"]["priceUsdc"]) >= least

    async with httpx.AsyncClient(timeout=30) as http, db.pool() as pool:
        asking = [asyncio.create_task(keep_asking(http)) for _ in range(8)]
        for cents in range(2, 20):
            price = Decimal(cents) / 100
            await shop.publish(pool, price_usdc=str(price))
            published = price
            offered = await http.get(door + shop.path)
            assert Decimal(offered.json()["product"]["priceUsdc"]) == price
        done.set()
        await asyncio.gather(*asking)


async def test_a_payment_relies_only_on_what_was_read_just_now(pool: db.Pool, shop: Shop) -> None:
    """The readiness of an offer holds for its version, and for a second: then it is read again."""
    version = await shop.version(pool)
    other = replace(version, version_id=uuid4())
    ready = readiness.Ready({})

    assert Offered(version, (), ready=ready).ready_for(version) is ready
    assert Offered(version, (), ready=ready).ready_for(other) is None
    assert Offered(version, (), ready=ready, read_at=time.monotonic() - 1.1).ready_for(version) is None
