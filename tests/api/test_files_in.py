"""Buyers send pictures and files: what is offered, what reaches the provider, and what is refused before payment."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from core import db
from core.settings import settings
from tests import selling, shops
from tests.files import FILES, PDF, data_url
from tests.shops import Buyer, Shop

PNG, ADDRESS = data_url("image/png", FILES["image/png"]), "https://example.org/cat.jpg"
PHOTO = {"name": "photo", "type": "image", "max_bytes": 2_000_000}
PAPER = {"name": "paper", "type": "file", "required": False, "description": "what it is about"}


@pytest.fixture
async def studio(shop: Shop, pool: db.Pool) -> AsyncIterator[str]:
    """The path of a prompt that takes a picture and perhaps a file."""
    async with pool.connection() as conn:
        await selling.add_model(conn, id=shops.MODEL, input_modalities=["text", "image", "file"])
    await shop.publish(
        pool, slug="studio", template="Describe {photo}{/photo}.", parameters=[PHOTO, PAPER], allows_user_message=True
    )
    yield shop.path.replace("haiku", "studio")
    async with pool.connection() as conn:
        await selling.add_model(conn, id=shops.MODEL)


async def test_a_picture_is_bought(door: str, shop: Shop, buyer: Buyer, studio: str, pool: db.Pool) -> None:
    """By its address and by its content; the provider gets it as it was sent, and bills no more than was reserved."""
    sent = [{"photo": ADDRESS}, {"photo": PNG, "paper": data_url("application/pdf", PDF), "user_message": "Well?"}]
    async with buyer.client(timeout=30) as client:
        for inputs in sent:
            answer = await client.post(door + studio, json=inputs, headers={"Prefer": "wait=20"})
            assert (answer.status_code, answer.json()["modality"]) == (200, "text"), answer.text
    first, second = [send["body"] for send in await shop.sends(arrived=2)]

    assert [turn["content"] for turn in first["messages"]] == [
        "Describe [image: photo].",
        [
            {"type": "text", "text": "Please respond based on the system instructions."},
            {"type": "text", "text": "[image: photo]"},
            {"type": "image_url", "image_url": {"url": ADDRESS}},
        ],
    ]
    assert {"id": "file-parser", "pdf": {"engine": "native"}} not in first["plugins"]
    assert [part["type"] for part in second["messages"][1]["content"]] == ["text", "text", "image_url", "text", "file"]
    assert second["messages"][1]["content"][2]["image_url"]["url"] == PNG
    assert {"id": "file-parser", "pdf": {"engine": "native"}} in second["plugins"]
    await shops.at_rest(pool, shop)
    query = """
        SELECT max(cost_usd) <= min(worst_cost_usd) AS kept FROM sends
        JOIN executions ON executions.id = execution_id JOIN resource_versions ON resource_versions.id = version_id
        WHERE account_id = %(account)s
    """
    assert (await shops.rows(pool, query, account=shop.account.id))[0].kept


async def test_the_offer_says_what_may_be_sent(door: str, studio: str, http: httpx.AsyncClient) -> None:
    """A URI, of which kinds, and how long; a wrong value is refused by name, before payment, and with the offer."""
    offered = (await http.get(door + studio)).json()["inputs"]
    photo, paper = offered["properties"]["photo"], offered["properties"]["paper"]

    assert offered["required"] == ["photo"]
    assert (photo["type"], photo["format"]) == ("string", "uri")
    assert photo["pattern"] == "^(https://|data:image/(png|jpeg|webp|gif);base64,)"
    assert photo["maxLength"] == len("data:application/pdf;base64,") + 2_666_668
    assert paper["pattern"] == "^(https://|data:application/(pdf);base64,)"
    assert paper["maxLength"] > settings().file_limit * 4 / 3
    refused = await http.post(door + studio, json={"photo": "https://127.0.0.1/", "paper": PNG})
    assert refused.status_code == 400
    assert refused.json()["fields"].keys() == {"photo", "paper"}
    assert refused.json()["accepts"]


async def test_a_body_may_be_as_large_as_its_files(
    door: str, shop: Shop, studio: str, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool
) -> None:
    """A prompt that takes files has a body limit of its own, for as long as a quote; one of text alone a small one."""
    large = FILES["image/gif"][:-1] + b"\x21\xfe" + (b"\xff" + b"x" * 255) * 5_000 + b"\0;"
    inputs = {"photo": data_url("image/gif", large)}
    assert settings().body_limit < len(inputs["photo"]) < 2_000_000

    header = await buyer.pay(door + studio, inputs)
    paid = await http.post(door + studio, json=inputs, headers={"PAYMENT-SIGNATURE": header, "Prefer": "wait=20"})
    tested = await http.post(
        f"{door}/me{studio.replace(f'/@{shop.account.handle}', '/resources')}/test",
        json=inputs,
        headers={"Authorization": f"Bearer {shop.token}", "Prefer": "wait=20"},
    )
    assert (paid.status_code, tested.status_code) == (200, 200), (paid.text, tested.text)
    others: list[Any] = [await http.post(door + shop.path, json=inputs)]
    others.append(await http.post(door + studio, json={"photo": "x" * 12_000_000}))
    assert [answer.json()["code"] for answer in others] == ["body_too_large"] * 2
    quoted = await buyer.pay(door + studio, inputs, shops.named)
    await shop.publish(pool, slug="studio")
    kept = await http.post(door + studio, json=inputs, headers={"PAYMENT-SIGNATURE": quoted, "Prefer": "wait=20"})
    assert (kept.status_code, (await http.post(door + studio, json=inputs)).status_code) == (200, 413), kept.text


async def test_what_the_provider_cannot_fetch_is_the_buyers_fault(
    door: str, buyer: Buyer, studio: str, http: httpx.AsyncClient
) -> None:
    """An address that leads nowhere counts as declined: nobody here could have known."""
    inputs = {"photo": "https://nowhere.invalid/cat.png"}
    header = await buyer.pay(door + studio, inputs)
    answer = await http.post(door + studio, json=inputs, headers={"PAYMENT-SIGNATURE": header, "Prefer": "wait=20"})

    assert (answer.status_code, answer.json()["code"]) == (422, "content_filtered")


async def test_nothing_is_sold_while_the_model_takes_no_pictures(
    door: str, studio: str, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A list that takes an input away from a model takes the prompt off sale, before anybody pays."""
    async with pool.connection() as conn:
        await selling.add_model(conn, id=shops.MODEL, input_modalities=["text", "file"])

    assert (await http.get(door + studio)).status_code == 503
