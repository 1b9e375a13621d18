"""The list of what is for sale, as a client pages through it."""

import httpx
import schemathesis

from core import db
from tests.shops import Shop


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
