"""A creator's own resources over HTTP: drafts, changes that are not lost, publishing, and going back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from x402.http.utils import decode_payment_required_header
from x402.schemas import PaymentPayload

from cli.app import main
from core import db
from core.payments import quotes
from core.resources import editing
from tests import shops
from tests.selling import SECRET_TEMPLATE, content
from tests.shops import MODEL, Buyer, Shop


@pytest.fixture
async def me(door: str, shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{door}/me", headers=shop.bearer, timeout=30) as http:
        yield http


def wanted(**changes: object) -> dict[str, Any]:
    return content(slug="poem", model=MODEL, max_output_tokens=256) | changes


async def test_from_a_draft_to_a_sale_and_back(
    door: str, shop: Shop, me: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    """Draft, dry run, publish, change, publish again, roll back, archive and restore; buyers see what is on offer."""
    url = f"{door}/@{shop.account.handle}/poem"

    async def price() -> str | None:
        answer = await http.get(url)
        return answer.json()["product"]["priceUsdc"] if answer.status_code == 402 else None

    made = await me.post(
        "/resources", json=wanted(tags=["poem"], example={"inputs": {"topic": "sea"}, "answer": "Waves"})
    )
    assert (made.status_code, made.json()["state"], made.headers["etag"]) == (201, "draft", '"2"')
    assert made.headers["cache-control"] == "no-store"
    assert SECRET_TEMPLATE not in made.text
    wrong = await me.post("/resources", json=wanted(slug="x", titel=""))
    assert wrong.json()["error"] == "titel: is no field here; did you mean title?"
    taken = await me.post("/resources", json=wanted())
    assert (taken.status_code, taken.json()["code"]) == (409, "SLUG_TAKEN")
    dry = await me.post("/resources/poem/publish", json={"dry_run": True})
    assert (dry.json()["dryRun"], dry.json()["obstacle"], dry.json()["state"]) == (True, None, "on_offer")
    assert await price() is None
    assert (await me.post("/resources/poem/publish")).json()["offeredVersion"] == 1
    assert await price() == "0.01"
    product = (await http.get(url)).json()["product"]
    assert (product["tags"], product["example"]) == (["poem"], {"inputs": {"topic": "sea"}, "answer": "Waves"})

    read = await me.get("/resources/poem")
    assert read.json()["document"]["template"] == SECRET_TEMPLATE
    changed = await me.patch("/resources/poem", json={"price_usdc": "0.02"}, headers={"If-Match": read.headers["etag"]})
    assert (changed.status_code, changed.json()["draftVersion"]) == (200, 2)
    assert await price() == "0.01"
    listed = (await me.get("/resources/poem/versions")).json()["versions"]
    assert [(one["version"], one["state"]) for one in listed] == [(2, "draft"), (1, "on_offer")]
    differs = (await me.get("/resources/poem/versions/2/diff")).json()
    assert differs["differences"] == [{"field": "price_usdc", "before": "0.01", "after": "0.02"}]
    await me.post("/resources/poem/publish")
    assert await price() == "0.02"
    await me.post("/resources/poem/versions/1/offer")
    assert await price() == "0.01"
    await me.post("/resources/poem/archive")
    assert await price() is None
    assert (await me.post("/resources/poem/restore")).json()["state"] == "on_offer"
    assert await price() == "0.01"
    assert {one["slug"]: one["state"] for one in (await me.get("/resources")).json()} == {
        "haiku": "on_offer",
        "poem": "on_offer",
    }


async def test_no_change_is_lost(me: httpx.AsyncClient) -> None:
    """Without If-Match a change is 428, with an old or weak one 412; `*` overwrites."""
    seen = (await me.post("/resources", json=wanted())).headers["etag"]
    codes = []
    for headers in ({}, {"If-Match": seen}, {"If-Match": seen}, {"If-Match": f"W/{seen}"}, {"If-Match": "*"}):
        answer = await me.put("/resources/poem", json=wanted(title=f"{len(codes)}"), headers=headers)
        codes.append(answer.status_code)
    assert codes == [428, 200, 412, 412, 200]
    assert (await me.patch("/resources/poem", json={"title": "x"})).status_code == 428
    assert (await me.post("/resources/poem/publish", headers={"If-Match": seen})).status_code == 412
    assert (await me.get("/resources/poem")).json()["document"]["title"] == "4"


async def test_a_repeated_post_is_done_once(me: httpx.AsyncClient) -> None:
    """The same key gives the same answer, another body under it is 409, and a refusal is not kept."""
    key = {"Idempotency-Key": "4e1c"}
    assert (await me.post("/resources", json=wanted(title=""), headers=key)).status_code == 400
    first, again = [await me.post("/resources", json=wanted(), headers=key) for _ in range(2)]
    other = await me.post("/resources", json=wanted(title="Other"), headers=key)
    assert (first.status_code, again.status_code, first.text) == (201, 201, again.text)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert (await me.post("/resources", json=wanted(), headers={"Idempotency-Key": "x" * 256})).status_code == 400


async def test_nobody_elses(door: str, me: httpx.AsyncClient, pool: db.Pool) -> None:
    """Another creator's resource is 404 by every route, and stays as it is."""
    await me.post("/resources", json=wanted())
    before = (await me.get("/resources/poem")).json()
    other = await shops.open_shop(pool)
    async with httpx.AsyncClient(base_url=f"{door}/me", headers=other.bearer) as stranger:
        asked = [
            await stranger.request(method, f"/resources/poem{path}", json=body, headers={"If-Match": "*"})
            for method, path, body in (
                ("GET", "", None),
                ("GET", "/versions", None),
                ("GET", "/versions/1/diff", None),
                ("GET", "/preview", None),
                ("PUT", "", wanted()),
                ("PATCH", "", {"title": "x"}),
                ("POST", "/publish", None),
                ("POST", "/versions/1/offer", None),
                ("POST", "/archive", None),
                ("POST", "/restore", None),
                ("POST", "/test", {"topic": "x"}),
            )
        ]
    assert {answer.status_code for answer in asked} == {404}
    assert (await me.get("/resources/poem")).json() == before


async def test_what_a_buyer_sees_of_a_draft(
    door: str, shop: Shop, me: httpx.AsyncClient, http: httpx.AsyncClient, pool: db.Pool, buyer: Buyer
) -> None:
    """The preview is what the door answers once it is published, but for quote and signature; it buys nothing."""
    await me.patch("/resources/haiku", json={"title": "Cheaper"}, headers={"If-Match": "*"})
    async with pool.connection() as conn:
        drafted = (await editing.find(conn, shop.account.id, "haiku")).version

    def quoted(payload: PaymentPayload) -> None:
        payload.accepted.extra["quoteId"] = quotes.make_quote(drafted, [(payload.accepted.network, shop.payout)])

    header = await buyer.pay(door + shop.path, {"topic": "x"}, quoted)
    bought = await http.post(door + shop.path, json={"topic": "x"}, headers={"PAYMENT-SIGNATURE": header})
    assert (bought.status_code, bought.json()["code"]) == (402, "wrong_resource")
    await me.post("/resources", json=wanted())
    shown = (await me.get("/resources/poem/preview")).json()
    await me.post("/resources/poem/publish")
    offered = await http.get(f"{door}/@{shop.account.handle}/poem")
    real = offered.json()

    async with pool.connection() as conn:
        await conn.execute("DELETE FROM payout_addresses WHERE account_id = %s", [shop.account.id])
    unpaid = (await me.get("/resources/poem/preview")).json()
    assert (unpaid["obstacle"], unpaid["body"]["accepts"]) == ("no_payout_address", [])
    for body in (shown["body"], real):
        for entry in body["accepts"]:
            entry["extra"].pop("quoteId")
    assert real["extensions"].pop("offer-receipt")
    assert (shown["status"], shown["obstacle"]) == (offered.status_code, None)
    assert shown["body"] == real
    assert decode_payment_required_header(shown["headers"]["PAYMENT-REQUIRED"]).accepts[0].extra["quoteId"] == "preview"
    assert (await me.get("/resources/haiku/preview")).json()["body"]["product"]["title"] == "Cheaper"
    assert (await me.get("/resources/poem/preview?version=x")).json()["fields"] == {
        "version": "must be the number of a version"
    }


async def test_a_draft_is_tried_before_it_is_sold(
    shop: Shop, me: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """The owner's test of a draft runs on the owner's key, and tells tokens, real cost, markup and time."""
    await me.post("/resources", json=wanted())
    asked = {"json": {"topic": "the sea"}, "headers": {"Prefer": "wait=20", "Idempotency-Key": "once"}}
    answer, again = [await me.post("/resources/poem/test", **asked) for _ in range(2)]
    assert answer.headers["content-location"] == again.headers["content-location"]
    told = answer.json()["test"]

    assert (answer.status_code, told["version"]) == (200, 1)
    assert told["sum"] == f"model ${told['costUsd']} + markup ${told['markupUsd']} = $0.01"
    assert float(told["costUsd"]) > 0
    assert told["seconds"] > 0
    assert (await me.get("/resources/poem")).json()["state"] == "draft"
    command = ["resources", "test", shop.account.handle, "poem", "-p", "topic=the sea"]
    assert await asyncio.to_thread(main, command) == 0
    assert "version 1: model $" in capsys.readouterr().err


async def test_a_test_that_fails_says_why_to_its_owner(shop: Shop, me: httpx.AsyncClient) -> None:
    """The cause and what to do: of a failed call, and of what stops a call before it begins."""
    await shop.openrouter(faults=["status:402"])
    failed = await me.post("/resources/haiku/test", json={"topic": "the sea"}, headers={"Prefer": "wait=20"})
    await me.post("/resources", json=wanted(daily_spend_cap_usd="0"))
    refused = await me.post("/resources/poem/test", json={"topic": "the sea"})

    assert (failed.status_code, failed.json()["cause"]) == (502, "provider_402")
    assert failed.json()["advice"]
    assert (refused.status_code, refused.json()["cause"]) == (409, "resource_spend_cap")
    assert "daily cap" in refused.json()["error"]


async def test_values_of_every_type_are_sold(door: str, shop: Shop, me: httpx.AsyncClient, buyer: Buyer) -> None:
    """Numbers, choices, yes or no are checked before payment, in JSON's own types."""
    parameters = [
        {"name": "tone", "type": "enum", "values": ["calm", "wild"], "default": "calm"},
        {"name": "lines", "type": "integer"},
        {"name": "heat", "type": "number", "required": False},
        {"name": "rhyme", "type": "boolean", "default": True},
    ]
    template = "".join(f"<{one['name']}:{{{one['name']}}}{{/{one['name']}}}>" for one in parameters)
    await me.post("/resources", json=wanted(parameters=parameters, template=template))
    await me.post("/resources/poem/publish")
    url = f"{door}/@{shop.account.handle}/poem"
    async with httpx.AsyncClient() as plain:
        wrong = await plain.post(url, json={"tone": "mild", "lines": 1.5, "heat": "hot", "rhyme": 1})
    async with buyer.client(timeout=30) as client:
        sold = await client.post(url, json={"lines": 3, "heat": 0.5, "rhyme": False}, headers={"Prefer": "wait=20"})

    assert wrong.status_code == 400
    assert set(wrong.json()["fields"]) == {"tone", "lines", "heat", "rhyme"}
    properties = wrong.json()["inputs"]["properties"]
    assert (properties["lines"]["type"], properties["rhyme"]["default"]) == ("integer", True)
    assert properties["tone"]["enum"] == ["calm", "wild"]
    assert sold.status_code == 200, sold.text
