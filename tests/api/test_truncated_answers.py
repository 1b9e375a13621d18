"""A version may let an answer that was cut off count: it is delivered, says so, and is counted apart."""

from typing import Any

import httpx
import pytest

from api.documents import Result
from core import db
from tests import shops
from tests.shops import Buyer, Shop

INPUTS = {"topic": "the sea, and " * 30}


async def buy(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> httpx.Response:
    url = door + shop.path
    headers = {"PAYMENT-SIGNATURE": await buyer.pay(url, INPUTS), "Prefer": "wait=30"}
    return await http.post(url, json=INPUTS, headers=headers)


async def test_a_cut_off_answer_is_sold_as_such(
    door: str, pool: db.Pool, shop: Shop, buyer: Buyer, http: httpx.AsyncClient
) -> None:
    """The offer says it; the answer, its receipt, the status, the creator's record and the log say it again."""
    await shop.publish(pool, truncated_from_characters=100, max_output_tokens=26)
    offer = (await http.get(door + shop.path)).json()
    answer = await buy(door, shop, buyer, http)
    polled = (await http.get(answer.headers["Content-Location"])).json()
    await shops.at_rest(pool, shop)
    records = await http.get(f"{door}/me/executions", headers={"Authorization": f"Bearer {shop.token}"})
    (logged,) = await shops.rows(
        pool,
        "SELECT outcome, truncated, amount_atomic FROM usage_log WHERE account_id = %(id)s",
        id=shop.account.id,
    )

    assert offer["product"]["truncatedFromCharacters"] == 100
    assert "from 100 characters on" in offer["rules"][-1]
    body = answer.json()
    Result.model_validate(body)
    assert (answer.status_code, body["truncated"], body["receipt"]["truncated"]) == (200, True, True)
    assert len(body["response"]) == 104
    assert (polled["state"], polled["money"], polled["truncated"]) == ("succeeded", "answered", True)
    assert [one["truncated"] for one in records.json()["executions"]] == [True]
    assert tuple(logged) == ("succeeded", True, shops.PRICE_ATOMIC)
    assert await buyer.settles() == 1


@pytest.mark.parametrize(
    ("version", "fault"),
    [
        ({"truncated_from_characters": 100, "max_output_tokens": 16}, []),
        ({"max_output_tokens": 26}, []),
        ({"truncated_from_characters": 100}, ["reasoning_only"]),
    ],
    ids=["too short", "not agreed", "no answer"],
)
async def test_less_than_that_is_a_failure(
    door: str, pool: db.Pool, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, version: Any, fault: list[str]
) -> None:
    """Below the least length, or without the creator's word in the offer, it may be re-run or is owed."""
    await shop.publish(pool, **version)
    await shop.openrouter(faults=fault)
    answer = await buy(door, shop, buyer, http)
    offer = (await http.get(door + shop.path)).json()

    assert answer.status_code == 502
    assert "rerunUrl" in answer.json()
    assert "truncated" not in answer.json()["receipt"]
    assert ("truncatedFromCharacters" in offer["product"]) == ("truncated_from_characters" in version)


async def test_a_whole_answer_says_nothing_of_it(
    door: str, pool: db.Pool, shop: Shop, buyer: Buyer, http: httpx.AsyncClient
) -> None:
    """The version only matters to answers that are cut off."""
    await shop.publish(pool, truncated_from_characters=100)
    body = (await buy(door, shop, buyer, http)).json()
    assert "truncated" not in body.keys() | body["receipt"].keys()
