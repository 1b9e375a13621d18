"""OpenRouter is connected with one click, against the practice OpenRouter."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from core import db
from core.settings import settings
from tests import leaks, shops
from tests.shops import Shop

CALLBACK = "/me/keys/openrouter/callback"


@pytest.fixture
async def browser(door: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser: it keeps cookies, and follows redirects when told to. It knows the door as localhost."""
    async with httpx.AsyncClient(base_url=door.replace("127.0.0.1", "localhost"), timeout=30) as http:
        yield http


async def agree(browser: httpx.AsyncClient, url: str, **limits: object) -> str:
    """Agree on OpenRouter's page; the address that the browser comes back to."""
    site = settings().openrouter_url.removesuffix("/api/v1")
    (await browser.put(f"{site}/practice/consent", json=limits)).raise_for_status()
    left = await browser.get(url)
    assert left.status_code == 302
    return left.headers["location"]


async def begin(http: httpx.AsyncClient, shop: Shop) -> str:
    """Begin to connect; OpenRouter's page."""
    begun = await http.post("/me/keys/openrouter/connect", headers=shop.bearer)
    assert (begun.status_code, begun.headers["cache-control"]) == (200, "no-store")
    url: str = begun.json()["authorizationUrl"]
    return url


async def test_one_click(shop: Shop, browser: httpx.AsyncClient) -> None:
    """The key is stored with the limit and expiry that the creator set at OpenRouter, and the prompt is sold again.

    The callback counts once, and shows neither the key nor the code.
    """
    (await browser.delete("/me/keys/openrouter", headers=shop.bearer)).raise_for_status()
    expiry = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    back = await agree(
        browser, await begin(browser, shop), limit="5", limit_reset="monthly", expires_at=expiry.isoformat()
    )
    connected = await browser.get(back)
    again = await browser.get(back)
    log = (await browser.get("/me/keys/openrouter/log", headers=shop.bearer)).json()

    assert connected.status_code == 200, connected.text
    card = connected.json()["card"]
    assert (connected.json()["revives"], card["health"], card["limitReset"]) == (["haiku"], "sound", "monthly")
    assert (card["limitUsd"], datetime.fromisoformat(card["expiresAt"])) == ("5", expiry)
    assert (again.status_code, list(again.json()["fields"])) == (400, ["state"])
    assert log["changes"][0]["event"] == "connected"
    secrets = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    assert leaks.found(connected.content, {"key": "sk-or-v1-practice-"} | secrets) == set()


async def test_a_lured_browser_gives_no_key_away(shop: Shop, door: str, browser: httpx.AsyncClient) -> None:
    """Who agrees in a browser that did not begin it connects nothing; the creator can, with state, code and token.

    Another creator's token does not do, and neither does another state.
    """
    async with db.pool() as pool:
        other = await shops.open_shop(pool)
    async with httpx.AsyncClient(base_url=door) as elsewhere:
        url = await begin(elsewhere, shop)
    back = await agree(browser, url)
    query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}

    lured = await browser.get(back)
    wrong = [
        await browser.post(CALLBACK, json=query, headers=other.bearer),
        await browser.post(CALLBACK, json=query | {"state": "x"}, headers=shop.bearer),
        await browser.post(CALLBACK, json=query),
        await browser.post(CALLBACK, json={"state": "x"}, headers=shop.bearer),
        await browser.get(CALLBACK),
    ]
    by_hand = await browser.post(CALLBACK, json=query, headers=shop.bearer)

    assert (lured.status_code, "another browser" in lured.json()["error"]) == (400, True)
    assert [answer.status_code for answer in wrong] == [400, 400, 401, 400, 400]
    assert (by_hand.status_code, by_hand.json()["card"]["health"]) == (200, "sound")


async def test_what_connects_nothing(shop: Shop, browser: httpx.AsyncClient) -> None:
    """A code of OpenRouter's that was used or is another one's, a key that manages others, and an older connection."""
    before = (await browser.get("/me/keys/openrouter", headers=shop.bearer)).json()
    earlier = await agree(browser, await begin(browser, shop))
    back = await agree(browser, await begin(browser, shop))
    state = parse_qs(urlsplit(back).query)["state"][0]
    answers = [
        await browser.get(earlier),
        await browser.get(CALLBACK, params={"state": state, "code": "auth_code_practice_x"}),
        await browser.get(back),
        await browser.get(await agree(browser, await begin(browser, shop), management=True)),
    ]
    after = (await browser.get("/me/keys/openrouter", headers=shop.bearer)).json()

    assert [list(answer.json()["fields"]) for answer in answers] == [["state"], ["code"], ["state"], ["key"]]
    assert after == before


async def test_a_key_is_renewed_with_limits(shop: Shop, browser: httpx.AsyncClient) -> None:
    """The new key has the limits that were asked for; a creator whose key does not work has to connect instead."""
    expiry = "2099-01-31T00:00:00+00:00"
    limits = {"limitUsd": "20.50", "limitReset": "weekly", "expiresAt": expiry}
    renewed = await browser.post("/me/keys/openrouter/renew", json=limits, headers=shop.bearer)
    await browser.patch("/me/keys/openrouter", json={"enabled": False}, headers=shop.bearer)
    unusable = await browser.post("/me/keys/openrouter/renew", json=limits, headers=shop.bearer)

    assert renewed.status_code == 200, renewed.text
    card = renewed.json()["card"]
    assert (card["health"], card["limitUsd"], card["limitReset"]) == ("sound", "20.5", "weekly")
    assert card["expiresAt"] == expiry
    assert unusable.status_code == 404


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ([], ["body"]),
        ({"limitUsd": 5, "limitReset": "hourly", "expiresAt": "tomorrow", "x": 1}, 4),
        ({"limitUsd": "0"}, ["limitUsd"]),
        ({"limitReset": "daily"}, ["limitReset"]),
        ({"limitReset": ["daily"], "limitUsd": "1"}, ["limitReset"]),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, ["expiresAt"]),
        ({"expiresAt": "2099-01-01T00:00:00"}, ["expiresAt"]),
    ],
)
async def test_what_is_no_limit(shop: Shop, browser: httpx.AsyncClient, body: object, fields: list[str] | int) -> None:
    """All that is wrong is told at once, by field."""
    refused = await browser.post("/me/keys/openrouter/renew", json=body, headers=shop.bearer)
    told = list(refused.json()["fields"])

    assert (refused.status_code, len(told) if isinstance(fields, int) else told) == (400, fields)
