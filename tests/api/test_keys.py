"""A creator's provider keys over HTTP."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from core import db
from core.providers import registry as providers
from core.providers.registry import ANTHROPIC
from tests import leaks, shops
from tests.shops import Shop


@pytest.fixture
async def claude(surroundings: object) -> AsyncIterator[Shop]:
    """A creator who sells a Claude prompt."""
    async with db.pool() as pool:
        yield await shops.open_shop(pool, ANTHROPIC)


@pytest.fixture
async def me(door: str, claude: Shop) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {claude.token}"}
    async with httpx.AsyncClient(base_url=f"{door}/me", headers=headers, timeout=30) as http:
        yield http


async def test_a_key_is_set_switched_and_forgotten(door: str, claude: Shop, me: httpx.AsyncClient) -> None:
    """Prompts are sold exactly while their key works; other providers' keys are unchanged; no response shows a key."""
    key = f"sk-ant-practice-{uuid4().hex}"

    async def is_sold() -> bool:
        async with httpx.AsyncClient() as http:
            return (await http.get(door + claude.path)).status_code == 402

    said = [await me.put("/anthropic-key", json={"key": key}), await me.get("/anthropic-key")]
    assert [answer.status_code for answer in said] == [200, 200]
    assert said[0].json() == said[1].json()
    assert (said[0].json()["label"], said[0].json()["enabled"]) == (f"{key[:16]}...{key[-4:]}", True)
    assert said[0].headers["cache-control"] == "no-store"
    sold = []
    for enabled in (False, True):
        said.append(await me.put("/anthropic-key", json={"enabled": enabled}))
        sold.append(await is_sold())
    said += [await me.get("/openrouter-key"), await me.delete("/openrouter-key")]
    assert (said[-2].status_code, said[-1].json()) == (404, {"affectedResources": 0})
    said.append(await me.delete("/anthropic-key"))
    assert said[-1].json() == {"affectedResources": 1}
    sold.append(await is_sold())
    assert sold == [False, True, False]
    assert (await me.put("/anthropic-key", json={"enabled": True})).status_code == 404
    assert leaks.found(b"".join(answer.content for answer in said), {"key": key}) == set()


async def test_a_card_is_changed_and_told_what_that_does(claude: Shop, me: httpx.AsyncClient) -> None:
    """Setting says what is sold again, switching off and deleting what stops; the log has it all, and never a key."""
    key = f"sk-ant-practice-{uuid4().hex}"
    said = [
        await me.patch("/keys/anthropic", json={"enabled": False}),
        await me.put("/keys/anthropic", json={"key": key}),
        await me.patch("/keys/anthropic", json={"enabled": True}),
        await me.delete("/keys/anthropic"),
        await me.put("/keys/anthropic", json={"key": key}),
        await me.get("/keys/anthropic"),
        await me.get("/keys/anthropic/log"),
        await me.get("/keys"),
    ]
    changes = [(one.json()["stops"], one.json()["revives"], one.json()["card"]["health"]) for one in said[:5]]

    assert [answer.status_code for answer in said] == [200] * 8
    assert {answer.headers["cache-control"] for answer in said} == {"no-store"}
    assert changes == [
        (["haiku"], [], "disabled"),
        ([], [], "disabled"),
        ([], ["haiku"], "sound"),
        (["haiku"], [], "missing"),
        ([], ["haiku"], "sound"),
    ]
    assert said[5].json() == said[4].json()["card"] == said[7].json()[1]
    assert [change["event"] for change in said[6].json()["changes"]] == [
        "set",
        "deleted",
        "enabled",
        "set",
        "disabled",
        "set",
    ]
    assert leaks.found(b"".join(answer.content for answer in said), {"key": key}) == set()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "fields"),
    [
        ("PUT", "anthropic", None, 400, ["key"]),
        ("PUT", "anthropic", {"key": 1}, 400, ["key"]),
        ("PUT", "anthropic", {"key": "sk-or-v1-practice-x"}, 400, ["key"]),
        ("PUT", "anthropic", {"key": "x", "enabled": True, "b": 1}, 400, ["b", "enabled"]),
        ("PUT", "nobody", {"key": "x"}, 404, None),
        ("PATCH", "anthropic", {"enabled": 1}, 400, ["enabled"]),
        ("PATCH", "openrouter", {"enabled": True}, 404, None),
        ("GET", "nobody", None, 404, None),
        ("GET", "nobody/log", None, 404, None),
    ],
)
async def test_what_is_no_change_of_a_card(
    me: httpx.AsyncClient, method: str, path: str, body: Any, status: int, fields: list[str] | None
) -> None:
    """It is refused by field, and changes nothing."""
    refused = await me.request(method, f"/keys/{path}", json=body)

    assert (refused.status_code, sorted(refused.json().get("fields", {})) or None) == (status, fields)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"key": 1},
        {"key": None},
        {"enabled": 1},
        {"enabled": True, "more": 1},
        {"key": "sk-or-v1-practice-x"},
    ],
)
async def test_what_is_no_key_is_refused(me: httpx.AsyncClient, body: Any) -> None:
    """A malformed key is 400 with a sentence, and the previous key stays."""
    before = (await me.get("/anthropic-key")).json()
    refused = await me.put("/anthropic-key", json=body)

    assert refused.status_code == 400
    assert refused.json()["fields"]
    assert (await me.get("/anthropic-key")).json() == before


async def test_only_its_owner_may_and_only_for_known_providers(door: str, me: httpx.AsyncClient) -> None:
    assert (await me.get("/nobody-key")).status_code == 404
    assert (await me.put("/nobody-key", json={"key": "sk-practice"})).status_code == 404
    async with httpx.AsyncClient(headers={"Authorization": "Bearer nobody"}) as http:
        for name in providers.configured():
            for method in ("GET", "PUT", "DELETE"):
                assert (await http.request(method, f"{door}/me/{name}-key", json={})).status_code == 401


async def test_setting_is_limited(me: httpx.AsyncClient) -> None:
    """New keys are limited, because each is sent to its provider. A new minute may begin meanwhile and allow more."""
    statuses: list[int] = []
    while 429 not in statuses and len(statuses) <= 20:
        statuses.append((await me.put("/anthropic-key", json={"key": "none"})).status_code)

    assert len(statuses) > 10
    assert statuses == [400] * (len(statuses) - 1) + [429]
