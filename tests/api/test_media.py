"""Bought pictures: the answer holds a URL of the door, and a fresh one whenever it is read."""

from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from core import db
from tests import selling, shops
from tests.shops import Buyer, Shop

MODEL = "google/gemini-2.5-flash-image"


@pytest.fixture
async def painting(shop: Shop, surroundings: Path) -> str:
    """The path of a resource that makes pictures."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            await selling.add_model(conn, id=MODEL, output_modalities=["text", "image"])
        await shop.publish(pool, slug="painting", model=MODEL, modality="image", max_output_tokens=2000)
    return shop.path.replace("haiku", "painting")


async def test_a_picture_is_bought_and_shown(door: str, painting: str) -> None:
    """Browsers show it as an image and never run it; its URL alone is enough, and the same payment gives it again."""
    buyer = await Buyer().fund()
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(door + painting, {"topic": "the sea"}), "Prefer": "wait=20"}
    async with httpx.AsyncClient(timeout=30) as http:
        sold, again = [await http.post(door + painting, json={"topic": "the sea"}, headers=paid) for _ in range(2)]
        polled = await http.get(sold.headers["Content-Location"])
        (url,) = sold.json()["images"]
        shown = await http.get(url)
        elsewhere = [await http.get(wrong) for wrong in (url[:-1], url.replace(".png", ".svg"), url.split("?")[0])]

    assert sold.json()["modality"] == "image"
    assert urlsplit(url)._replace(path="", query="").geturl() == door
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/png")
    assert shown.content.startswith(b"\x89PNG\r\n\x1a\n")
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in shown.headers["content-security-policy"]
    assert again.json()["images"] == polled.json()["images"] == [url]
    assert {answer.status_code for answer in elsewhere} == {404}


async def test_what_is_no_picture_is_not_sold(door: str, shop: Shop, painting: str) -> None:
    """If the picture is a program, the call fails, and the buyer may re-run it."""
    await shop.openrouter(faults=["draws:svg"], latency_seconds=0)
    buyer = await Buyer().fund()
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(door + painting, {"topic": "the sea"}), "Prefer": "wait=20"}
    async with httpx.AsyncClient(timeout=30) as http:
        failed = await http.post(door + painting, json={"topic": "the sea"}, headers=paid)
        again = await http.post(failed.json()["rerunUrl"], headers={"Prefer": "wait=20"})
    async with db.pool() as pool:
        await shops.at_rest(pool, shop)
        rows = await shops.rows(
            pool, "SELECT code, cost_usd FROM usage_log WHERE account_id = %(id)s ORDER BY round", id=shop.account.id
        )

    assert failed.status_code == 502
    assert len(again.json()["images"]) == 1
    assert [row.code for row in rows] == ["resource_unavailable", None]
    assert all(row.cost_usd > 0 for row in rows)
