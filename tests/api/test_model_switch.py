"""A creator moves a prompt to another model: the owner's test runs there first, and decides."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx
import pytest

from cli.app import main
from core import db
from tests import shops
from tests.selling import add_model
from tests.shops import MODEL, Shop

NEW = "openai/gpt-5-nano"


@pytest.fixture
async def models(pool: db.Pool) -> None:
    """What the shop's model costs more than, and one that no call gets through to."""
    async with pool.connection() as conn:
        await add_model(conn, id=NEW)
        await add_model(conn, id="openai/gpt-4.1-mini")
        # The practice provider lists no such model.
        await add_model(conn, id="openai/only-here")
        await add_model(conn, id="openai/gold", prompt_usd=Decimal(1), completion_usd=Decimal(1))


async def switch(http: httpx.AsyncClient, door: str, shop: Shop, **body: object) -> httpx.Response:
    return await http.post(f"{door}/me/resources/haiku/switch", json=body, headers=shop.bearer)


async def billed_tests(pool: db.Pool, shop: Shop) -> list[Any]:
    return [one for one in await shops.at_rest(pool, shop) if one.kind == "test"]


@pytest.mark.usefixtures("models")
async def test_a_prompt_moves_once_the_new_model_has_answered(
    door: str, shop: Shop, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """The answer names the test's real cost, both worst costs and the price floor; then the new model is on offer."""
    async with pool.connection() as conn:
        await conn.execute("UPDATE resources SET daily_spend_cap_usd = 3 WHERE account_id = %s", [shop.account.id])
    before = await shop.version(pool)
    answer = await switch(http, door, shop, model=NEW)
    after = await shop.version(pool)
    again = await switch(http, door, shop, model=NEW)
    anonymous = await http.post(f"{door}/me/resources/haiku/switch", json={"model": NEW})
    malformed = await switch(http, door, shop, model=5)

    assert answer.status_code == 200
    told = answer.json()
    assert (told["model"], told["previousModel"]) == (NEW, MODEL) == (after.model_id, before.model_id)
    assert told["version"] == after.number > before.number
    assert Decimal(told["previousWorstCostUsd"]) == before.worst_cost_usd > Decimal(told["worstCostUsd"])
    assert Decimal(told["priceFloorUsdc"]) == Decimal("0.001")
    assert told["test"]["result"]["response"]
    assert Decimal(told["test"]["costUsd"]) > 0
    (sent,) = await shop.sends()
    assert sent["model"] == NEW
    (test,) = await billed_tests(pool, shop)
    assert str(test.id) == told["test"]["executionId"]
    (kept,) = await shops.rows(
        pool, "SELECT daily_spend_cap_usd FROM resources WHERE account_id = %(id)s", id=shop.account.id
    )
    assert kept.daily_spend_cap_usd == 3
    assert (again.status_code, again.json()["fields"]) == (400, {"model": f"haiku is on {NEW} already"})
    assert (anonymous.status_code, malformed.status_code) == (401, 400)


@pytest.mark.usefixtures("models")
async def test_without_an_answer_nothing_changes(door: str, shop: Shop, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """A model that does not answer, also if a fallback does, one that loses money, and a key that is off."""
    await shop.publish(pool, fallbacks=[NEW])
    before = await shop.version(pool)
    nobody = await switch(http, door, shop, model="openai/only-here", inputs={"topic": "the sea"})
    await shop.openrouter(faults=["status:503"])
    by_fallback = await switch(http, door, shop, model="openai/gpt-4.1-mini")
    dear = await switch(http, door, shop, model="openai/gold")
    unknown = await switch(http, door, shop, model="openai/nothing")
    await shop.openrouter(revoked=True)
    rejected = await switch(http, door, shop, model="openai/gpt-4.1-mini")
    async with pool.connection() as conn:
        await conn.execute("UPDATE provider_keys SET enabled = false WHERE account_id = %s", [shop.account.id])
    off = await switch(http, door, shop, model=NEW)
    missing = await http.post(f"{door}/me/resources/other/switch", json={"model": NEW}, headers=shop.bearer)

    assert (nobody.status_code, nobody.json()["code"], nobody.json()["cause"]) == (409, "test_failed", "provider_400")
    assert "test the prompt as its owner" in nobody.json()["detail"]
    assert (by_fallback.status_code, by_fallback.json()["cause"]) == (409, "provider_503")
    assert (dear.status_code, list(dear.json()["fields"])) == (400, ["price_usdc"])
    assert (unknown.status_code, list(unknown.json()["fields"])) == (400, ["model"])
    assert (rejected.status_code, rejected.json()["cause"]) == (409, "provider_401")
    assert (off.status_code, off.json()["cause"]) == (409, "key_disabled")
    assert "switch it on" in off.json()["detail"]
    assert missing.status_code == 404
    assert await shop.version(pool) == before


@pytest.mark.usefixtures("models")
async def test_what_was_published_meanwhile_stays(
    door: str, shop: Shop, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A version that its creator publishes during the test is not replaced by the tested one."""
    await shop.openrouter(latency_seconds=0.5)
    moving = asyncio.create_task(switch(http, door, shop, model=NEW))
    await shop.sends(arrived=1)
    published = await shop.publish(pool, title="Newer")
    refused = await moving

    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["slug"])
    assert (await shop.version(pool)).version_id == published.version_id


@pytest.mark.usefixtures("models", "door")
async def test_the_command_does_the_same(shop: Shop, pool: db.Pool, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints the answer and the numbers; a test without an answer is exit 1 and one sentence."""
    handle = shop.account.handle
    arguments = ["resources", "switch", handle, "haiku"]
    failed = await asyncio.to_thread(main, [*arguments, "openai/only-here"])
    why = capsys.readouterr().err
    moved = await asyncio.to_thread(main, [*arguments, NEW, "-p", "topic=the sea"])
    said = capsys.readouterr().out

    assert (failed, moved) == (1, 0)
    assert "nothing was changed" in why
    assert f"/@{handle}/haiku is on sale on {NEW} now" in said
    assert "The test cost $0.0" in said
    assert (await shop.version(pool)).model_id == NEW
