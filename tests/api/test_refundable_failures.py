"""What a buyer's words can cost a creator: failures that a wallet may cause in a day."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from core import db
from tests import shops
from tests.shops import Buyer, Shop

INPUTS = {"topic": "the sea, in five thousand words"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30, headers={"Prefer": "wait=20"}) as http:
        yield http


async def buy(door: str, path: str, buyer: Buyer, client: httpx.AsyncClient) -> httpx.Response:
    url = door + path
    return await client.post(url, json=INPUTS, headers={"PAYMENT-SIGNATURE": await buyer.pay(url, INPUTS)})


async def test_a_wallet_that_asks_for_failures_is_refused_before_it_pays(
    door: str, shop: Shop, buyer: Buyer, client: httpx.AsyncClient, pool: db.Pool
) -> None:
    """Five generations that fail by what they were asked for; then no sale and no re-run, to this wallet, here."""
    await shop.openrouter(faults=["truncated*always"])
    other = replace(shop, path=shop.path.replace("haiku", "sonnet"))
    await shop.publish(pool, slug="sonnet")

    first = await buy(door, shop.path, buyer, client)
    again = [await client.post(first.json()["rerunUrl"]) for _ in range(2)]
    second = await buy(door, shop.path, buyer, client)
    last = await client.post(second.json()["rerunUrl"])
    no_rerun = await client.post(second.json()["rerunUrl"])
    polled = await client.get(last.headers["Content-Location"])
    refused = await buy(door, shop.path, buyer, client)
    stranger = await buy(door, shop.path, await Buyer().fund(), client)
    elsewhere = await buy(door, other.path, buyer, client)

    assert {one.status_code for one in (first, *again, second, last, stranger, elsewhere)} == {502}
    assert no_rerun.status_code == 409
    assert "rerunUrl" not in last.json()
    assert "rerunUrl" not in polled.json()
    assert polled.json()["money"] == "refund_due"
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_failures")
    assert "Nothing was charged" in refused.json()["error"]
    assert 86_000 < int(refused.headers["Retry-After"]) <= 86_400
    assert await buyer.settles() == 3
    assert len(await shop.sends()) == 7
    (noted,) = await shops.rows(
        pool,
        "SELECT count(*) FROM refundable_failures WHERE payer = %(payer)s",
        payer=buyer.wallet.address.lower(),
    )
    assert noted.count == 6
