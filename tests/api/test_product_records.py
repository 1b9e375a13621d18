"""A product's record over HTTP."""

import httpx
import schemathesis

from core import db
from tests import shops
from tests.shops import Buyer, Shop

RECORD = "/@{handle}/{slug}/record"


async def test_the_record_of_a_product(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool, document: schemathesis.BaseSchema
) -> None:
    """Sales are in it, a creator's tests are not; anybody may read and keep it for a minute."""
    url = door + shop.path
    for faults in ([], ["filtered"]):
        await shop.openrouter(faults=faults)
        paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, {"topic": "rain"}, shops.named), "Prefer": "wait=20"}
        await http.post(url, json={"topic": "rain"}, headers=paid)
    await shops.at_rest(pool, shop)
    answer = await http.get(f"{url}/record")
    document[RECORD]["GET"].validate_response(answer)
    nothing = await http.get(f"{url}-of-nobody/record")
    document[RECORD]["GET"].validate_response(nothing)

    told = answer.json()
    assert told["product"] == url
    assert (told["calls"], told["succeeded"], told["declined"], told["failed"]) == (2, 1, 1, 0)
    assert (told["success"], told["days"], told["owed"]) == ("1.0000", 30, 0)
    assert told["p50Ms"] > 0
    assert [(one["version"], one["priceUsdc"]) for one in told["prices"]] == [(1, "0.01")]
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    assert nothing.status_code == 404
