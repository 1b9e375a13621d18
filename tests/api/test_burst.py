"""Many concurrent buyers: each gets an answer, and the books agree."""

import asyncio
from typing import Any

import httpx

from core import db
from tests import shops
from tests.shops import PRICE_ATOMIC, Buyer, Shop

BUYERS = 100
# Longer than the 5 s after which stock Python clients give up.
UPSTREAM_SECONDS = 6


async def test_a_hundred_buyers_at_once(door: str, shop: Shop) -> None:
    """A hundred stock clients with default timeouts, and a provider slower than them: a hundred answers."""
    async with db.pool() as pool:
        await shops.rows(
            pool, "UPDATE accounts SET slots = %(n)s WHERE id = %(id)s RETURNING id", n=BUYERS, id=shop.account.id
        )
        await shop.openrouter(latency_seconds=UPSTREAM_SECONDS)
        buyers = await asyncio.gather(*(Buyer().fund() for _ in range(BUYERS)))
        answers = await asyncio.gather(*(_buy(door, shop, buyer) for buyer in buyers))

        assert all(answer["response"] for answer in answers)
        executions = await shops.at_rest(pool, shop)
        received = await shop.received()
    assert [execution.state for execution in executions] == ["succeeded"] * BUYERS
    assert [execution.usage_rows for execution in executions] == [1] * BUYERS
    assert {execution.transaction for execution in executions} == {transfer["transaction"] for transfer in received}
    assert sum(int(transfer["amount"]) for transfer in received) == BUYERS * PRICE_ATOMIC
    assert len(await shop.sends()) == BUYERS


async def _buy(door: str, shop: Shop, buyer: Buyer) -> dict[str, Any]:
    """Buy like a stock client: pay, and on 202 poll the status URL."""
    async with buyer.client() as client:
        answer = await client.post(door + shop.path, json={"topic": "the sea"})
    assert answer.status_code in (200, 202), answer.text
    body: dict[str, Any] = answer.json()
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while "response" not in body:
            assert body["state"] == "processing", body
            await asyncio.sleep(body["retryAfterSeconds"])
            body = (await client.get(answer.json()["statusUrl"])).json()
    return body
