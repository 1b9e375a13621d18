"""What a buyer may wish for privacy: that nobody keeps the inputs, and that we delete them."""

import hashlib

import httpx
import pytest
import schemathesis

from core import db
from tests import selling, shops
from tests.shops import Buyer, Shop

PAINTER = "google/gemini-2.5-flash-image"
TOPIC = {"topic": "canary-of-a-buyer"}
ERASE = "/executions/{execution_id}"


async def paid(door: str, shop: Shop, buyer: Buyer, **headers: str) -> dict[str, str]:
    """The headers of one purchase."""
    return {"PAYMENT-SIGNATURE": await buyer.pay(door + shop.path, TOPIC, shops.named), "Prefer": "wait=20"} | headers


async def test_deletion_after_delivery(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool, document: schemathesis.BaseSchema
) -> None:
    """Inputs and answer are gone from the database; receipt, payment and usage stay; a repetition is the same."""
    url, headers = door + shop.path, await paid(door, shop, buyer)
    answered = await http.post(url, json=TOPIC, headers=headers)
    where = answered.headers["Content-Location"]
    (before,) = await shops.at_rest(pool, shop)
    stranger = await http.delete(where.partition("?")[0], headers={"Status-Token": "guess"})
    erased = [await http.delete(where) for _ in range(2)]
    for answer in (stranger, *erased):
        document[ERASE]["DELETE"].validate_response(answer)
    (after,) = await shops.executions(pool, shop)
    status, again = await http.get(where), await http.post(url, json=TOPIC, headers=headers)
    receipt = await http.get(where.replace("?", "/receipt?"))

    assert stranger.status_code == 404
    assert [(answer.status_code, answer.content) for answer in erased] == [(204, b"")] * 2
    assert before.sealed_inputs
    assert before.sealed_result
    assert (after.sealed_inputs, after.sealed_result, after.erased_by_buyer) == (None, None, True)
    assert (after.payment_state, after.usage_rows, after.delivery) == ("paid", 1, before.delivery)
    for gone in (status, again):
        assert (gone.status_code, gone.json()["code"]) == (410, "deleted")
        assert "its buyer asked for it" in gone.json()["error"]
        assert gone.json()["receipt"]["jws"] == answered.json()["receipt"]["jws"] == receipt.json()["jws"]
        assert "salt" not in gone.json()["receipt"]
    assert len(await shop.sends()) == 1
    assert len(await shop.received()) == 1


async def test_files_go_too(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool) -> None:
    """A picture is at its URL before, and neither there nor in the store after."""
    async with pool.connection() as conn:
        await selling.add_model(conn, id=PAINTER, output_modalities=["text", "image"])
    await shop.publish(pool, slug="painting", model=PAINTER, modality="image", max_output_tokens=2000)
    url = f"{door}/@{shop.account.handle}/painting"
    headers = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC), "Prefer": "wait=20"}
    answered = await http.post(url, json=TOPIC, headers=headers)
    (picture,) = answered.json()["images"]
    shown = await http.get(picture)
    await shops.at_rest(pool, shop)
    erased = await http.delete(answered.headers["Content-Location"])
    gone = await http.get(picture)

    (named,) = answered.json()["files"]
    assert named == {"kind": shown.headers["Content-Type"], "sha256": hashlib.sha256(shown.content).hexdigest()}
    assert [answer.status_code for answer in (shown, erased, gone)] == [200, 204, 404]


async def test_no_deletion_of_what_is_still_needed(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool, document: schemathesis.BaseSchema
) -> None:
    """While it runs, and while a failed call may be run again, 409 says what to do, and nothing is deleted."""
    url = door + shop.path
    await shop.openrouter(latency_seconds=3)
    running = await http.post(url, json=TOPIC, headers=await paid(door, shop, buyer, Prefer="respond-async"))
    early = await http.delete(running.json()["statusUrl"])
    await shop.openrouter(latency_seconds=0.05, faults=["status:500*always"])
    failed = await http.post(url, json=TOPIC, headers=await paid(door, shop, buyer))
    late = await http.delete(failed.headers["Content-Location"])
    for answer in (early, late):
        document[ERASE]["DELETE"].validate_response(answer)
        assert (answer.status_code, answer.json()["code"]) == (409, "not_at_rest")
        assert "Delete it once it is answered" in answer.json()["error"]
    await shop.openrouter(faults=[])
    again = await http.post(failed.json()["rerunUrl"], headers={"Prefer": "wait=20"})

    assert (failed.status_code, again.status_code) == (502, 200)
    assert {row.erased_by_buyer for row in await shops.at_rest(pool, shop)} == {False}


@pytest.mark.parametrize("zdr", [False, True])
async def test_zero_data_retention(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool, zdr: bool
) -> None:
    """The offer says whether it can be had. Who asks for it gets it, or is told before any money moves."""
    await shop.publish(pool, zdr=zdr)
    url = door + shop.path
    plain = await http.get(url)
    headers = await paid(door, shop, buyer, Prefer="wait=20, privacy=zdr")
    probed = await http.get(url, headers={"Prefer": "privacy=zdr"})
    bought = await http.post(url, json=TOPIC, headers=headers)

    assert plain.json()["product"]["zdr"] is zdr
    assert "Preference-Applied" not in plain.headers
    if zdr:
        assert (probed.status_code, probed.headers["Preference-Applied"]) == (402, "privacy=zdr")
        assert (bought.status_code, bought.headers["Preference-Applied"]) == (200, "wait=20, privacy=zdr")
        assert [sent["body"]["provider"]["zdr"] for sent in await shop.sends()] == [True]
    else:
        for refused in (probed, bought):
            assert refused.status_code == 400
            assert "buy where product.zdr is true" in refused.json()["error"]
        assert "PAYMENT-REQUIRED" in probed.headers
        assert await buyer.settles() == 0
