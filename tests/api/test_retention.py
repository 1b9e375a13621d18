"""The status URL and the operator's view after an answer was deleted."""

import time
from collections.abc import AsyncIterator

import httpx
import pytest

from cli import buy_delivery
from cli.buy_order import Order
from core import db
from flows.retention import retention
from tests import shops
from tests.shops import Buyer, Shop

INPUTS = {"topic": "the sea"}


@pytest.fixture
async def pool(surroundings: object) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


async def test_a_deleted_answer(door: str, shop: Shop, pool: db.Pool) -> None:
    """The flow deletes it, and the payment's payload; status URL and replay say so with the receipt.

    The same payment buys nothing new.
    """
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await (await Buyer().fund()).pay(url, INPUTS), "Prefer": "wait=20"}
    async with httpx.AsyncClient(timeout=30) as http:
        answered = await http.post(url, json=INPUTS, headers=paid)
        status_url = answered.headers["Content-Location"]
        await shops.at_rest(pool, shop)
        await shops.outlast_retention(pool, shop)
        await shops.rows(
            pool,
            "UPDATE payments SET valid_before = now() FROM executions"
            " WHERE payment_id = payments.id AND account_id = %(id)s RETURNING payments.id",
            id=shop.account.id,
        )
        state = await retention(return_state=True)
        payloads = await shops.rows(
            pool,
            "SELECT sealed_payload FROM payments JOIN executions ON payment_id = payments.id WHERE account_id = %(id)s",
            id=shop.account.id,
        )
        status = await http.get(status_url)
        again = await http.post(url, json=INPUTS, headers=paid)
        order = Order(
            url=url, body=INPUTS, payment=paid["PAYMENT-SIGNATURE"], title="", price_usdc="", network="", valid_before=0
        )
        told = [
            await buy_delivery.deliver(http, order, time.monotonic() + 10),
            await buy_delivery.follow(http, status_url, 0, time.monotonic() + 10),
        ]

    assert answered.status_code == 200
    assert state.is_completed()
    assert [row.sealed_payload for row in payloads] == [None]
    assert "deleted the inputs and answers of" in str(state.message)
    assert status.status_code == 200
    body = status.json()
    assert (body["state"], body["code"], body["money"]) == ("deleted", "deleted", "answered")
    assert body["deletedAt"]
    assert "response" not in body
    assert again.status_code == 410
    assert (again.json()["code"], again.json()["deletedAt"]) == ("deleted", body["deletedAt"])
    receipts = [one["receipt"] for one in (again.json(), body, answered.json())]
    assert receipts[0] | {"salt": receipts[2]["salt"]} == receipts[1] | {"salt": receipts[2]["salt"]} == receipts[2]
    assert "salt" not in receipts[0].keys() | receipts[1].keys()
    assert again.headers["PAYMENT-RESPONSE"] == answered.headers["PAYMENT-RESPONSE"]
    assert len(await shop.sends()) == 1
    # `instant buy --resume` must not say that no money moved.
    assert [(one.state, "then deleted" in one.sentence) for one in told] == [("failed", True)] * 2


async def test_readiness_says_how_long_things_are_kept(door: str) -> None:
    """Our retention as configured, Prefect's as its server reports it."""

    async def asked() -> bool:
        async with httpx.AsyncClient() as http:
            seen.append((await http.get(f"{door}/health/ready")).json()["retention"])
        return seen[-1]["prefect"]["state"] != "unknown"

    seen: list[dict[str, object]] = []
    await shops.eventually(asked)

    prefect = {"state": "vacuumed", "vacuumed": ["events", "flow_runs"], "runDays": 7, "eventDays": 7}
    assert seen[-1] == {"contentDays": 30, "prefect": prefect}
