"""The list of what is for sale, as a client pages through it."""

import httpx
import schemathesis
from x402.schemas import PaymentPayload

from core import db
from core.settings import settings
from tests.refusals import TOPIC
from tests.shops import Buyer, Shop


async def test_pages(door: str, shop: Shop, document: schemathesis.BaseSchema, http: httpx.AsyncClient) -> None:
    """Every product once, with its price and its schemas; what is unlisted is sold, and not named."""
    async with db.pool() as pool:
        await shop.publish(pool, slug="poem", title="Poem", price_usdc="0.5", tags=["verse"])
        await shop.publish(pool, slug="secret", title="Secret poem", listed=False)
    mine = f"{door}/resources?creator={shop.account.handle}"
    url, found = f"{mine}&sort=price&limit=1", []
    while True:
        answer = await http.get(url)
        document["/resources"]["GET"].validate_response(answer)
        page = answer.json()
        found += page["resources"]
        if page["next"] is None:
            break
        url = door + page["next"]

    as_in_addresses = await http.get(f"{door}/resources?creator=@{shop.account.handle}&sort=price")
    assert as_in_addresses.json()["resources"] == found
    assert [(one["slug"], one["priceUsdc"]) for one in found] == [("haiku", "0.01"), ("poem", "0.5")]
    offered = (await http.get(found[0]["url"])).json()
    assert found[0]["inputs"] == offered["inputs"]
    assert found[0]["title"] == offered["product"]["title"]
    assert (await http.get(f"{door}/@{shop.account.handle}/secret")).status_code == 402
    assert [one["slug"] for one in (await http.get(f"{mine}&search=verse")).json()["resources"]] == ["poem"]
    assert (await http.get(f"{mine}&maxPrice=0.01")).json()["resources"] == found[:1]
    assert (await http.get(f"{mine}&maxPrice=0.0099")).json()["resources"] == []


async def test_conditional_and_foreign_requests(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """A client that has the page gets 304; a cursor of another order, or of nobody, is refused."""
    url = f"{door}/resources?creator={shop.account.handle}"
    first = await http.get(url)
    assert (await http.get(url, headers={"If-None-Match": first.headers["ETag"]})).status_code == 304
    for query in ("cursor=none", "sort=random", "kind=video", "maxPrice=-1", "limit=0", "colour=red", "search=%00"):
        refused = await http.get(f"{url}&{query}")
        assert refused.status_code == 400, query
        assert list(refused.json()["fields"]) == [query.partition("=")[0]]


async def test_a_sale_is_listed_at_the_facilitator(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient
) -> None:
    """What was paid for stands in the facilitator's list in our words, whatever the buyer echoed; unlisted does not."""
    async with db.pool() as pool:
        await shop.publish(pool, tags=["verse"], description="Three lines.")
        await shop.publish(pool, slug="secret", listed=False)
    secret = f"{door}/@{shop.account.handle}/secret"

    def forged(payload: PaymentPayload) -> None:
        assert payload.extensions is not None
        assert payload.resource is not None
        payload.extensions["bazaar"]["info"]["input"]["body"] = {"topic": "forged"}
        payload.resource.description = "forged"
        payload.resource.tags = ["forged"]

    for url, change in ((door + shop.path, forged), (secret, lambda _payload: None)):
        header = await buyer.pay(url, TOPIC, change)
        sold = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header, "Prefer": "wait=20"})
        assert sold.status_code == 200, sold.text

    page = (await http.get(f"{settings().networks[0].facilitator_url}/discovery/resources")).json()
    found = {item["resource"]: item for item in page["items"]}
    listed = found[door + shop.path]
    assert (listed["description"], listed["tags"], listed["method"]) == ("Three lines.", ["verse"], "POST")
    assert listed["serviceName"] == "x402 Instant"
    assert "forged" not in str(listed)
    assert secret not in found
    assert page["rejected"] == 0
