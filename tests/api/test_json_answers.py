"""A prompt with an answer schema: the offer shows it, and the answers fit it."""

import json

import httpx
import pytest

from core import db
from tests import shops
from tests.shops import Buyer, Shop

SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "integer"}, "lines": {"type": "array", "items": {"type": "string"}}},
    "required": ["total", "lines"],
    "additionalProperties": False,
}
FITS, BROKEN, UNFIT = '{"total": 7, "lines": []}', "{'total': 7, 'lines': [],}", '{"total": "seven"}'


@pytest.fixture
async def url(pool: db.Pool, door: str, shop: Shop) -> str:
    """A prompt that promises the schema."""
    await shop.publish(pool, modality="json", answer_schema=SCHEMA)
    return door + shop.path


async def test_the_offer_shows_the_answer(url: str, http: httpx.AsyncClient, pool: db.Pool, shop: Shop) -> None:
    """Buyers see the schema in the creator's own order, before any payment; other prompts have none."""
    offered = await http.get(url)
    assert json.dumps(offered.json()["answer"]) == json.dumps(SCHEMA)
    published = await shop.publish(pool, modality="json", answer_schema=json.dumps(SCHEMA))
    assert not published.is_new
    await shop.publish(pool, modality="json")
    assert "answer" not in (await http.get(url)).json()


async def test_a_buyer_gets_what_was_promised(url: str, http: httpx.AsyncClient, buyer: Buyer, shop: Shop) -> None:
    """The provider enforces the schema, and the answer fits it."""
    paid = await buyer.pay(url, {"topic": "the sea"})
    answer = await http.post(url, json={"topic": "the sea"}, headers={"PAYMENT-SIGNATURE": paid})
    assert answer.status_code == 200
    assert json.loads(answer.json()["response"]).keys() == {"total", "lines"}
    (sent,) = await shop.sends()
    assert sent["body"]["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("said", "sends", "fits"),
    [([BROKEN], 1, True), ([UNFIT, FITS], 2, True), ([UNFIT, UNFIT], 2, False)],
    ids=["mended", "asked again", "failed"],
)
async def test_what_does_not_fit_is_no_answer(
    url: str,
    http: httpx.AsyncClient,
    buyer: Buyer,
    pool: db.Pool,
    shop: Shop,
    said: list[str],
    sends: int,
    fits: bool,
) -> None:
    """A bad answer is repaired without a call, requested again with another nonce, or fails; each send is charged."""
    await shop.openrouter(faults=[f"says:{text}" for text in said])
    paid = await buyer.pay(url, {"topic": "the sea"})
    headers = {"PAYMENT-SIGNATURE": paid, "Prefer": "wait=30"}
    answer = await http.post(url, json={"topic": "the sea"}, headers=headers)

    assert answer.status_code == (200 if fits else 502), answer.text
    assert not fits or json.loads(answer.json()["response"]) == json.loads(FITS)
    (execution,) = await shops.at_rest(pool, shop)
    assert execution.detail == (None if fits else "provider_malformed_json")
    nonces = {sent["body"]["metadata"]["nonce"] for sent in await shop.sends()}
    assert len(nonces) == execution.sends == sends
    ((cost,),) = await shops.rows(pool, "SELECT cost_usd FROM usage_log WHERE execution_id = %(id)s", id=execution.id)
    assert cost > 0
