"""Webhooks over HTTP and from the command line: a sale through a real door is told within seconds."""

import asyncio
import json

import httpx
import pytest

from cli.app import main
from core.notices import webhooks
from tests.core.notices.test_webhooks import is_signed
from tests.receivers import receiver
from tests.shops import Buyer, Shop, eventually


@pytest.fixture
def me(door: str, shop: Shop) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{door}/me", headers={"Authorization": f"Bearer {shop.token}"}, timeout=30)


async def test_a_sale_is_told_to_a_program(
    door: str, shop: Shop, me: httpx.AsyncClient, buyer: Buyer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Added over HTTP, tried, told of a sale by the launcher, rotated from the command line, and deleted."""
    async with receiver() as here, me:
        added = await me.post("/webhooks", json={"url": here.url("http"), "events": ["call.sold"], "name": "books"})
        assert (added.status_code, added.headers["cache-control"]) == (201, "no-store")
        hook = added.json()
        assert (hook["name"], hook["events"], hook["disabledAt"]) == ("books", ["call.sold"], None)
        tried = await me.post(f"/webhooks/{hook['id']}/test")
        assert tried.json() == {"taken": True}
        async with buyer.client(timeout=30) as client:
            sold = await client.post(f"{door}{shop.path}", json={"topic": "the sea"}, headers={"Prefer": "wait=20"})
        assert sold.status_code == 200

        async def is_told() -> bool:
            return len(here.posted) == 2

        await eventually(is_told)
        told = here.posted[1][1]
        assert (told["type"], told["data"]["outcome"], told["data"]["slug"]) == ("call.sold", "succeeded", "haiku")
        assert told["data"]["transaction"] == sold.json()["receipt"]["transaction"]
        listed = await me.get("/webhooks")
        assert hook["secret"] not in listed.text
        assert listed.json()[0]["deliveredAt"] is not None
        exported = (await me.get("/export")).json()
        assert [one["url"] for one in exported["webhooks"]] == [here.url("http")]
        assert exported["caps"]["haiku"]["mostPerCallUsd"] is None

        assert await asyncio.to_thread(main, ["webhooks", "rotate", shop.account.handle, hook["id"], "--json"]) == 0
        secret = webhooks.Private(json.loads(capsys.readouterr().out)["secret"])
        assert await asyncio.to_thread(main, ["webhooks", "test", shop.account.handle, hook["id"]]) == 0
        assert is_signed(secret, *here.messages[-1])
        assert is_signed(webhooks.Private(hook["secret"]), *here.messages[-1])
        assert [(await me.delete(f"/webhooks/{hook['id']}")).status_code for _ in range(2)] == [204, 404]


async def test_what_is_no_webhook_is_refused(me: httpx.AsyncClient) -> None:
    """With the fields that are wrong; an inner network too."""
    async with me:
        for wrong, field in (
            ({"url": 1}, "body"),
            ({"url": "https://example.org", "secret": "x"}, "body"),
            ({"url": "http://10.0.0.1"}, "url"),
            ({"url": "https://example.org", "events": []}, "events"),
        ):
            refused = await me.post("/webhooks", json=wrong)
            assert (refused.status_code, list(refused.json()["fields"])) == (400, [field])
