"""Paid means answered or owed: re-runs, refunds, and payments that land late."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from cli.app import main
from core import db
from tests import shops
from tests.shops import PRICE_ATOMIC, Buyer, Shop

INPUTS = {"topic": "the sea"}
TRANSACTION = "0x" + "ab" * 32


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30, headers={"Prefer": "wait=20"}) as http:
        yield http


@pytest.fixture
async def pool(surroundings: object) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


async def test_a_failed_call_is_run_again_for_free(
    door: str, shop: Shop, client: httpx.AsyncClient, pool: db.Pool
) -> None:
    """502 with receipt and re-run URL; the re-run answers the same inputs; two usage rows, the revenue counted once."""
    failed, status_url = await buy_a_failure(door, shop, client)
    again = await client.post(failed["rerunUrl"])
    status = (await client.get(status_url)).json()
    (execution,) = await shops.at_rest(pool, shop)
    usage = await shops.rows(
        pool, "SELECT * FROM usage_log WHERE execution_id = %(id)s ORDER BY round", id=execution.id
    )
    once_more = await client.post(failed["rerunUrl"])

    assert again.status_code == 200
    assert shops.money(again.json()["receipt"]) == failed["receipt"]
    assert status["money"] == "answered"
    assert [(row.round, row.outcome, row.amount_atomic) for row in usage] == [
        (1, "failed", PRICE_ATOMIC),
        (2, "succeeded", 0),
    ]
    assert len(await shop.received()) == 1
    assert once_more.json()["response"] == again.json()["response"]


async def test_re_runs_are_bounded_and_then_it_is_owed(
    door: str, shop: Shop, client: httpx.AsyncClient, pool: db.Pool
) -> None:
    """After the last re-run failed a refund is due, no re-run is accepted, and recording it makes it refunded."""
    failed, status_url = await buy_a_failure(door, shop, client, faults=("status:500*always",))
    second = await client.post(failed["rerunUrl"])
    third = await client.post(failed["rerunUrl"])
    (execution,) = await shops.at_rest(pool, shop)
    await shops.until(pool, "SELECT count(*) = 1 AS done FROM refunds WHERE execution_id = %(id)s", id=execution.id)
    fourth = await client.post(failed["rerunUrl"])
    owed = (await client.get(status_url)).json()

    assert second.status_code == third.status_code == 502
    assert "rerunUrl" in second.json()
    assert "rerunUrl" not in third.json()
    assert fourth.status_code == 409
    assert owed["money"] == "refund_due"
    assert await instant("refunds", "record", str(execution.id), "0x12") == 1
    assert await instant("refunds", "record", str(execution.id), TRANSACTION) == 0
    assert await instant("refunds", "waive", str(execution.id), "changed my mind") == 1
    refunded = (await client.get(status_url)).json()
    assert (refunded["money"], refunded["refundTransaction"]) == ("refunded", TRANSACTION)


async def test_an_unused_re_run_lapses_into_a_refund(
    door: str, shop: Shop, client: httpx.AsyncClient, pool: db.Pool
) -> None:
    """When its time is over, a refund is due and a re-run is refused; the refund can be waived with a reason."""
    failed, status_url = await buy_a_failure(door, shop, client)
    (execution,) = await shops.at_rest(pool, shop)
    before = (await client.get(status_url)).json()
    await shops.rows(pool, "UPDATE executions SET rerun_until = now() WHERE id = %(id)s RETURNING id", id=execution.id)
    await shops.until(pool, "SELECT count(*) = 1 AS done FROM refunds WHERE execution_id = %(id)s", id=execution.id)
    too_late = await client.post(failed["rerunUrl"])

    assert before["money"] == "rerun_possible"
    assert too_late.status_code == 409
    assert await instant("refunds", "waive", str(execution.id), "") == 1
    assert await instant("refunds", "waive", str(execution.id), "paid in person") == 0
    assert (await client.get(status_url)).json()["money"] == "refund_waived"


async def test_what_the_buyer_caused_is_answered(
    door: str, shop: Shop, client: httpx.AsyncClient, pool: db.Pool
) -> None:
    """A declined input is 422, has no re-run, and is never owed."""
    declined, status_url = await buy_a_failure(door, shop, client, faults=("filtered",), expected=422)
    (execution,) = await shops.at_rest(pool, shop)
    refused = await client.post(status_url.replace("?", "/rerun?"))

    assert declined["code"] == "content_filtered"
    assert "rerunUrl" not in declined
    assert refused.status_code == 409
    assert execution.state == "declined"
    assert (await client.get(status_url)).json()["money"] == "answered"
    assert await shops.rows(pool, "SELECT 1 FROM refunds WHERE execution_id = %(id)s", id=execution.id) == []


@pytest.mark.parametrize("has_room", [True, False], ids=["executed", "owed"])
async def test_a_refused_payment_that_lands_late(
    door: str, shop: Shop, client: httpx.AsyncClient, pool: db.Pool, has_room: bool
) -> None:
    """When somebody submits a refused authorization, its execution runs, or is owed if there is no room."""
    buyer = await Buyer().fund()
    url = door + shop.path
    header = await buyer.pay(url, INPUTS)
    await buyer.facilitator("refuse:insufficient_funds")
    refused = await client.post(url, json=INPUTS, headers={"PAYMENT-SIGNATURE": header})
    if not has_room:
        await shops.rows(
            pool, "UPDATE accounts SET daily_spend_cap_usd = 0 WHERE id = %(id)s RETURNING id", id=shop.account.id
        )
    await buyer.settle_directly(header)
    await shops.rows(
        pool,
        "UPDATE payments SET checked_at = NULL FROM executions WHERE payment_id = payments.id"
        " AND account_id = %(id)s RETURNING payments.id",
        id=shop.account.id,
    )
    (execution,) = await shops.at_rest(pool, shop, but="void")

    assert refused.status_code == 402
    assert execution.payment_state == "paid"
    assert execution.state == ("succeeded" if has_room else "failed")
    assert [transfer["transaction"] for transfer in await shop.received()] == [execution.transaction]


async def instant(*arguments: str) -> int:
    """Run a command, which has its own event loop; return its exit code."""
    return await asyncio.to_thread(main, list(arguments))


async def buy_a_failure(
    door: str,
    shop: Shop,
    client: httpx.AsyncClient,
    faults: tuple[str, ...] = ("status:400",),
    expected: int = 502,
) -> tuple[dict[str, Any], str]:
    """Buy a call that fails; return the problem document and the status URL."""
    buyer = await Buyer().fund()
    await shop.openrouter(faults=list(faults))
    url = door + shop.path
    answer = await client.post(url, json=INPUTS, headers={"PAYMENT-SIGNATURE": await buyer.pay(url, INPUTS)})
    assert answer.status_code == expected, answer.text
    return answer.json(), answer.headers["Content-Location"]
