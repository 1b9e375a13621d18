"""An unknown settlement is never answered with 402: the chain decides, and the buyer never pays twice."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from core import db
from core.settings import settings
from tests import doors, practice, servers, shops
from tests.shops import Buyer, Shop

TOPIC = {"topic": "the sea"}

# Four seconds, plus the delay of two busy cores.
ANSWERED_SECONDS = 4.5


@pytest.mark.parametrize(
    ("fault", "settles", "doubt"),
    [
        ("lose_reply", 1, "connection_lost"),
        ("pending", 1, "settlement_pending"),
        ("front_run", 1, "transaction_failed"),
        ("pending_never", 2, "settlement_pending"),
        ("down", 2, "server_error"),
    ],
)
async def test_the_chain_decides(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient, fault: str, settles: int, doubt: str
) -> None:
    """A transfer is found on the chain; otherwise the identical payload is settled again; answered once."""
    await buyer.facilitator(fault)
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    first = await http.post(url, json=TOPIC, headers=paid | {"Prefer": "respond-async"})
    told = processing(first)
    while (answer := await http.post(url, json=TOPIC, headers=paid)).status_code == 202:
        assert processing(answer)["jobId"] == told["jobId"]

    assert answer.status_code == 200, answer.text
    assert (await http.get(told["statusUrl"])).json()["response"] == answer.json()["response"]
    await paid_once(pool, shop, buyer, settles=settles, doubt=doubt)


async def test_nobody_knows_yet(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """While the outcome is unknown, every request gets 202 in time, with the advice not to pay; then it is answered."""
    await buyer.facilitator(*["down"] * 50)
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    started = time.monotonic()
    first = await http.post(url, json=TOPIC, headers=paid)
    assert time.monotonic() - started < ANSWERED_SECONDS
    told = processing(first)
    assert "Do not pay again" in told["message"]
    again = await http.post(url, json=TOPIC, headers=paid | {"Prefer": "wait=1"})
    assert processing(again)["jobId"] == told["jobId"]
    status = await http.get(told["statusUrl"])
    assert (status.status_code, status.json()["state"]) == (200, "processing")
    assert await shop.received() == []

    await buyer.facilitator()
    assert (await http.post(url, json=TOPIC, headers=paid | {"Prefer": "wait=20"})).status_code == 200
    await paid_once(pool, shop, buyer, settles=await buyer.settles(), doubt="server_error")


async def test_one_wallets_undecided_payments(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """Beyond the limit 429, with nothing claimed; others still buy; once they are decided, the wallet does too."""
    most = settings().undecided_limit
    url = door + shop.path
    await buyer.facilitator(*["down"] * 100)
    await shops.rows(pool, "UPDATE accounts SET queue_limit = 1 WHERE id = %(id)s RETURNING id", id=shop.account.id)
    *headers, last = [{"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC, shops.named)} for _ in range(most + 1)]
    for paid in headers:
        processing(await http.post(url, json=TOPIC, headers=paid | {"Prefer": "respond-async"}))

    refused = await http.post(url, json=TOPIC, headers=last)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_undecided")
    assert f"{most} payments of this wallet are neither paid nor failed" in refused.json()["error"]
    assert int(refused.headers["Retry-After"]) > 0
    assert len(await shops.executions(pool, shop)) == most
    assert (await http.post(url, json=TOPIC, headers=headers[0] | {"Prefer": "respond-async"})).status_code == 202
    other = {"PAYMENT-SIGNATURE": await (await Buyer().fund()).pay(url, TOPIC)}
    assert (await http.post(url, json=TOPIC, headers=other)).status_code == 200

    await buyer.facilitator()
    await shops.at_rest(pool, shop)
    assert (await http.post(url, json=TOPIC, headers=last | {"Prefer": "wait=20"})).status_code == 200


async def test_a_settlement_slower_than_the_buyer(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A stock client with a timeout of 5 s gets the status URL in time, and pays once."""
    await buyer.facilitator("slow:5.5")
    started = time.monotonic()
    async with buyer.client() as client:
        answer = await client.post(door + shop.path, json=TOPIC)
    assert time.monotonic() - started < ANSWERED_SECONDS
    told = processing(answer)

    async def succeeded() -> bool:
        return bool((await http.get(told["statusUrl"])).json()["state"] == "succeeded")

    await shops.eventually(succeeded)
    await paid_once(pool, shop, buyer, settles=1, doubt=None)


async def test_cancelled_by_the_payer(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """An authorization that the payer cancelled meanwhile can never land, and only then the answer is 402."""
    await buyer.facilitator("cancelled")
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    first = await http.post(url, json=TOPIC, headers=paid | {"Prefer": "respond-async"})
    told = processing(first)
    await shops.at_rest(pool, shop)

    assert (await http.get(told["statusUrl"])).json()["code"] == "payment_failed"
    (execution,) = await shops.executions(pool, shop)
    assert (execution.state, execution.payment_state) == ("void", "failed")
    assert await story(pool, execution) == [
        ("settling", None),
        ("unknown", "invalid_exact_evm_nonce_already_used"),
        ("failed", "used_elsewhere"),
    ]
    assert await shop.received() == await shop.sends() == []


async def test_facilitator_down_before_the_claim(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """Without a verdict nothing is claimed: 503; probes still get the offer; the payment stays valid."""
    await buyer.facilitator("verify_down")
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    answer = await http.post(url, json=TOPIC, headers=paid)
    await not_sold(answer, pool, shop, buyer)
    assert (await http.get(url)).status_code == 402
    assert (await http.post(url, json=TOPIC, headers=paid)).status_code == 200
    await paid_once(pool, shop, buyer, settles=1, doubt=None)


async def test_facilitator_silent_before_the_claim(
    surroundings: Path, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A facilitator that accepts the request and never answers: the buyer gets 503 in time; nothing is claimed."""
    async with practice.scripted(lambda _request: None) as silent:
        network = settings().networks[0].model_copy(update={"facilitator_url": silent})
        networks = json.dumps([network.model_dump()])
        changes = {"INSTANT_NETWORKS": networks, "INSTANT_ANSWER_SECONDS": "1"}
        with doors.door(surroundings, servers.free_port(), **changes) as door:
            url = door.url + shop.path
            paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
            started = time.monotonic()
            answer = await http.post(url, json=TOPIC, headers=paid)
            assert time.monotonic() - started < 1.5
            await not_sold(answer, pool, shop, buyer)


async def test_the_buyer_hangs_up(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """A buyer who disconnects before the money moved has still bought: a settlement outlives its request."""
    await buyer.facilitator("slow_before:1")
    url = door + shop.path
    header = await buyer.pay(url, TOPIC)
    body = json.dumps(TOPIC)
    _, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
    writer.write(
        f"POST {urlsplit(url).path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        f"PAYMENT-SIGNATURE: {header}\r\n\r\n{body}".encode()
    )

    async def claimed() -> bool:
        return len(await shops.executions(pool, shop)) == 1

    await shops.eventually(claimed)
    writer.transport.abort()
    assert await shop.received() == []
    answer = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header, "Prefer": "wait=20"})
    assert answer.status_code == 200
    await paid_once(pool, shop, buyer, settles=1, doubt=None)


# --- what all of them check


def processing(answer: httpx.Response) -> dict[str, Any]:
    """202 with the status URL and the pause, and no receipt yet."""
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    assert told["state"] == "processing"
    assert answer.headers["Location"] == told["statusUrl"]
    assert int(answer.headers["Retry-After"]) == told["retryAfterSeconds"] > 0
    assert "PAYMENT-REQUIRED" not in answer.headers
    return told


async def not_sold(answer: httpx.Response, pool: db.Pool, shop: Shop, buyer: Buyer) -> None:
    """503 with one sentence; no claim, no settlement."""
    assert (answer.status_code, answer.json()["error"]) == (503, "Resource unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert "PAYMENT-REQUIRED" not in answer.headers
    assert await shops.executions(pool, shop) == await shop.received() == []
    assert await buyer.settles() == 0


async def paid_once(pool: db.Pool, shop: Shop, buyer: Buyer, *, settles: int, doubt: str | None) -> None:
    """One execution, one request to the model, one transfer, and the history that this fault should leave."""
    (execution,) = await shops.at_rest(pool, shop)
    (transfer,) = await shop.received()
    assert (execution.state, execution.usage_rows, execution.sends) == ("succeeded", 1, 1)
    assert len(await shop.sends()) == 1
    assert transfer["transaction"] == execution.transaction
    assert await buyer.settles() == settles
    settled = "settled" if doubt is None else "settled_again" if settles > 1 else "found_on_chain"
    between = [] if doubt is None else [("unknown", doubt)]
    assert await story(pool, execution) == [("settling", None), *between, ("paid", settled)]


async def story(pool: db.Pool, execution: Any) -> list[tuple[str, str | None]]:
    """The states of its payment, each with its reason."""
    query = "SELECT to_state, reason FROM payment_transitions WHERE payment_id = %(id)s ORDER BY id"
    return [(row.to_state, row.reason) for row in await shops.rows(pool, query, id=execution.payment_id)]
