"""The creator's routes for calls, usage and notices, through the door."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from core import db
from core.notices import outbox
from core.notices import rules as notice_rules
from tests import leaks, past, shops
from tests.past import Calls
from tests.receivers import receiver
from tests.shops import PRICE_ATOMIC, Buyer, Shop

INPUTS = {"topic": "the sea"}


@pytest.fixture
async def pool(surroundings: object) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@pytest.fixture
async def me(door: str, shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """The creator of the shop, at their own routes."""
    headers = {"Authorization": f"Bearer {shop.token}"}
    async with httpx.AsyncClient(base_url=f"{door}/me", headers=headers, timeout=30) as http:
        yield http


async def buy(door: str, shop: Shop, **inputs: str) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        url = door + shop.path
        header = await (await Buyer().fund()).pay(url, inputs or INPUTS)
        await http.post(url, json=inputs or INPUTS, headers={"PAYMENT-SIGNATURE": header, "Prefer": "wait=20"})


async def test_executions_and_usage(door: str, shop: Shop, me: httpx.AsyncClient, pool: db.Pool) -> None:
    """Answers and failures, with fault and advice; sums by day; and never inputs or answers."""
    word = leaks.canary("input")
    await buy(door, shop, topic=word)
    await shop.openrouter(faults=["status:402"])
    await buy(door, shop, topic=word)
    await shops.at_rest(pool, shop)
    await past.count(pool)

    everything = (await me.get("/executions")).json()
    failed = (await me.get("/executions", params={"state": "failed", "slug": "haiku"})).json()
    usage = await me.get("/usage", params={"by": "resource"})

    bad, good = everything["executions"]
    assert everything["next"] is None
    assert failed["executions"] == [bad]
    assert (good["state"], good["fault"], good["advice"]) == ("succeeded", None, None)
    assert (good["paidUsdc"], good["network"]) == ("0.01", "eip155:402402")
    assert good["model"]
    assert float(good["costUsd"]) > 0
    assert (bad["state"], bad["fault"], bad["detail"]) == ("failed", "creator", "provider_402")
    assert "out of credit" in bad["advice"]
    document = usage.json()
    assert document["total"]["calls"] == 2
    assert document["total"]["revenueUsdc"] == "0.02"
    assert document["total"]["success"] == "0.5000"
    assert [row["subject"] for row in document["rows"]] == [shop.path]
    assert document["rows"][0]["failures"] == {"provider_402": 1}
    payers = (await me.get("/usage", params={"by": "payer"})).json()["rows"]
    assert [(row["subject"][:2], row["calls"], row["revenueUsdc"]) for row in payers] == [("0x", 1, "0.01")] * 2
    assert [one["detail"] for one in document["causes"]] == ["provider_402"]
    assert PRICE_ATOMIC == 10_000
    assert leaks.found(f"{everything}{document}".encode(), {"input": word}) == set()


async def test_pages(shop: Shop, me: httpx.AsyncClient, pool: db.Pool) -> None:
    """Fifty per page, newest first, each once; and another creator sees none of them."""
    now = datetime.now(UTC)
    await past.happened(pool, await shop.version(pool), [Calls(now, 120)], kind="test")
    seen: list[str] = []
    after = ""
    while after is not None:
        page = (await me.get("/executions", params={"after": after})).json()
        seen += [one["id"] for one in page["executions"]]
        after = page["next"]

    other = await shops.open_shop(pool)
    theirs = await me.get("/executions", headers={"Authorization": f"Bearer {other.token}"}, params={"after": seen[3]})

    assert len(seen) == len(set(seen)) == 120
    assert theirs.json() == {"executions": [], "next": None}


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/executions?state=nonsense", "state"),
        ("/executions?after=nonsense", "after"),
        ("/executions?slug=%00", "slug"),
        ("/usage?by=nonsense", "by"),
        ("/usage?since=yesterday", "since"),
        ("/usage?until=2026-02-30", "until"),
        ("/usage?since=2026-03-02&until=2026-03-01", "since"),
    ],
)
async def test_what_cannot_be_asked(me: httpx.AsyncClient, path: str, named: str) -> None:
    """400, naming the wrong parameter."""
    refused = await me.get(path)

    assert refused.status_code == 400
    assert refused.json()["fields"].keys() == {named}


@pytest.mark.parametrize("path", ["/executions", "/usage", "/notices", "/notice-addresses"])
async def test_nobody_else_may(door: str, path: str) -> None:
    async with httpx.AsyncClient(headers={"Authorization": "Bearer nobody"}) as http:
        assert (await http.get(f"{door}/me{path}")).status_code == 401


async def test_notices(shop: Shop, me: httpx.AsyncClient, pool: db.Pool) -> None:
    """An address is added, used and removed; no response shows its URL; the notice stays, with its deliveries."""
    word = leaks.canary("token")
    calls = [Calls(datetime.now(UTC), 9, "failed", "provider_402", "creator", cost_usd=None)]
    await past.happened(pool, await shop.version(pool), calls, kind="test")
    async with receiver() as here:
        answers = [await me.post("/notice-addresses", json={"url": f"{here.url()}/{word}", "name": "my phone"})]
        answers.append(await me.get("/notice-addresses"))
        async with pool.connection() as conn:
            await notice_rules.record_findings(conn)
        await outbox.deliver(pool)
        added = answers[0].json()
        answers.append(await me.get("/notices"))
        answers.append(await me.delete(f"/notice-addresses/{added['id']}"))
        answers.append(await me.get("/notice-addresses"))
        answers.append(await me.get("/notices"))

    assert [answer.status_code for answer in answers] == [201, 200, 200, 204, 200, 200]
    assert (added["name"], added["scheme"]) == ("my phone", "json")
    assert answers[1].json() == [added]
    assert answers[4].json() == []
    told = {one["rule"]: one for one in answers[2].json()}
    assert told.keys() == {"key_low"}
    assert told["key_low"]["title"] == f"@{shop.account.handle}: your OpenRouter credit is used up"
    assert [(one["name"], one["state"]) for one in told["key_low"]["sent"]] == [("my phone", "sent")]
    assert answers[5].json() == answers[2].json()
    assert {posted["title"] for _, posted in here.posted} == {one["title"] for one in told.values()}
    everything = b"".join(answer.content for answer in answers)
    assert leaks.found(everything, {"token": word}) == set()


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"url": 1}, {"url": "json://x", "more": 1}, {"url": "json://127.0.0.2/x"}, {"url": "file:///x"}],
)
async def test_addresses_that_are_refused(me: httpx.AsyncClient, body: Any) -> None:
    """400 with a sentence, and nothing is stored."""
    refused = await me.post("/notice-addresses", json=body)

    assert refused.status_code == 400
    assert refused.json()["fields"]
    assert (await me.get("/notice-addresses")).json() == []


async def test_adding_is_limited(me: httpx.AsyncClient) -> None:
    """New addresses are limited, because each is tried in a process of its own."""
    answers = [await me.post("/notice-addresses", json={}) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [400] * 10 + [429]


async def test_anothers_address_is_nobodys(me: httpx.AsyncClient, pool: db.Pool) -> None:
    assert (await me.delete(f"/notice-addresses/{uuid4()}")).status_code == 404
