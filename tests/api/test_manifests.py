"""Manifests are true: every product in each of them, and nothing that its live offer does not say."""

import json
import xml.etree.ElementTree as ElementTree
from decimal import Decimal
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from x402.extensions.bazaar import validate_and_extract
from x402.http.utils import decode_payment_required_header

from api import listing as listed
from api import manifest_texts, shop_openapi
from api import offers as offered
from core import db
from core.resources import listing, readiness, template
from tests import selling
from tests.shops import Shop

PRODUCTS: tuple[dict[str, Any], ...] = (
    {
        "slug": "poem",
        "title": "Poème <b>&</b> [más](https://example.com)",
        "description": "Two\nlines.",
        "tags": ["verse"],
    },
    {
        "slug": "facts",
        "title": "Facts",
        "modality": "json",
        "price_usdc": "0.5",
        "answer_schema": {
            "type": "object",
            "properties": {"facts": {"type": "array", "items": {"$ref": "#/$defs/fact"}}},
            "$defs": {"fact": {"type": "string"}},
        },
        "example": {"inputs": {"topic": "sea"}, "answer": '{"facts": ["salty"]}'},
    },
    {
        "slug": "picker",
        "parameters": [
            {"name": "topic"},
            {"name": "mood", "type": "enum", "values": ["glad", "sad"]},
            {"name": "lines", "type": "integer", "default": "3"},
        ],
        "template": "{topic}{/topic}{mood}{/mood}{lines}{/lines}",
        "allows_user_message": True,
    },
    {"slug": "secret", "title": "Secret of nobody's list", "listed": False},
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Fields of a document, with words of any script."""
    text = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), max_size=60)
    names = draw(st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), unique=True, max_size=6))
    parameters = []
    for name in names:
        kind = draw(st.sampled_from(["text", "enum", "integer", "number", "boolean"]))
        values = draw(st.lists(text.filter(bool), min_size=1, max_size=4, unique=True)) if kind == "enum" else None
        told = {
            "name": name,
            "type": kind,
            "description": draw(text),
            "required": draw(st.booleans()),
            "values": values,
        }
        parameters.append(told)
    is_json = draw(st.booleans())
    properties = draw(st.dictionaries(text, st.sampled_from([{"type": "string"}, {"$ref": "#/$defs/a"}]), max_size=5))
    schema = {"type": "object", "properties": properties, "$defs": {"a": {"type": "integer"}}}
    return {
        "title": draw(text.filter(str.strip)),
        "description": draw(text),
        "parameters": parameters,
        "template": "Say it." + "".join(f"{{{name}}}{{/{name}}}" for name in names),
        "allows_user_message": draw(st.booleans()),
        "modality": "json" if is_json else "text",
        "answer_schema": schema if is_json else None,
        "price_usdc": f"{Decimal(draw(st.integers(1_000, 10**11))).scaleb(-6):f}",
        "tags": draw(st.lists(st.from_regex(r"[a-z]{1,12}", fullmatch=True), unique=True, max_size=8)),
        "listed": draw(st.integers(0, 4)) > 0,
    }


@pytest.fixture
async def full_shop(shop: Shop) -> Shop:
    """A shop with all kinds of products; one is in no list."""
    async with db.pool() as pool:
        for changes in PRODUCTS:
            await shop.publish(pool, **changes)
    return shop


async def test_a_creators_document_is_the_live_offers(door: str, full_shop: Shop, http: httpx.AsyncClient) -> None:
    """Price, schemas, example and title of each path are those of the offer at its address."""
    listed = (await http.get(f"{door}/@{full_shop.account.handle}/openapi.json")).json()
    schemathesis.openapi.from_dict(listed).validate()

    slugs = {"haiku", *(changes["slug"] for changes in PRODUCTS)} - {"secret"}
    assert {path.rpartition("/")[2] for path in listed["paths"]} == slugs
    for path, item in listed["paths"].items():
        operation = item["post"]
        offered = await http.post(door + path, json=operation["requestBody"]["content"]["application/json"]["example"])
        assert offered.status_code == 402, offered.text
        offer, header = offered.json(), decode_payment_required_header(offered.headers["PAYMENT-REQUIRED"])
        assert operation["x-payment-info"]["price"] == {
            "mode": "fixed",
            "currency": "USD",
            "amount": offer["product"]["priceUsdc"],
        }
        assert {entry.amount for entry in header.accepts} == {str(int(float(offer["product"]["priceUsdc"]) * 10**6))}
        assert operation["requestBody"]["content"]["application/json"]["schema"] == offer["inputs"]
        assert operation["summary"] == offer["product"]["title"]
        assert operation["security"] == []
        assert header.resource is not None
        assert header.resource.url == operation["x-product"]["url"] == door + path
        assert header.extensions is not None
        assert validate_and_extract(header.extensions["bazaar"]).valid
        own = (await http.get(f"{door}{path}/openapi.json")).json()
        assert own["paths"] == {path: item}
        answer = operation["responses"]["200"]["content"]["application/json"]
        if "answer" in offer:
            promised = answer["schema"]["allOf"][1]["properties"]["response"]["contentSchema"]
            assert "/contentSchema/$defs/fact" in json.dumps(promised)
            assert answer["example"]["response"] == offer["product"]["example"]["answer"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents())
async def test_manifests_say_what_the_offer_says(conn: db.Connection, changes: dict[str, Any]) -> None:
    """For any document that can be published: what lists read of it is what its offer is made of."""
    owner = await selling.creator(conn)
    await selling.add_key(conn, owner)
    await selling.publish(conn, owner, **changes)
    version = await readiness.resolve(conn, owner.handle, "haiku")
    row = await listing.find(conn, owner.handle, "haiku")
    if not changes["listed"]:
        assert row is None
        return
    assert row is not None
    shown: Any = offered.preview(version, dict(row.payouts))
    path = f"/@{owner.handle}/haiku"
    operation: Any = shop_openapi.document([row])["paths"][path]["post"]  # type: ignore[index]
    entry, item, body = listed.entry(row), manifest_texts.discovered(row), shown["body"]
    required = decode_payment_required_header(shown["headers"]["PAYMENT-REQUIRED"])

    assert shop_openapi.document([version])["paths"] == {path: {"post": operation}}
    request = operation["requestBody"]["content"]["application/json"]
    assert request["schema"] == entry["inputs"] == body["inputs"]
    template.validate_inputs(
        request["example"],
        version.parameters,
        allows_user_message=version.allows_user_message,
        value_limit=20_000,
        inputs_limit=60_000,
        file_limit=5_242_880,
    )
    price = body["product"]["priceUsdc"]
    assert operation["x-payment-info"]["price"]["amount"] == entry["priceUsdc"] == price
    assert {one.amount for one in required.accepts} == {str(version.price_atomic)}
    assert [one["amount"] for one in item["accepts"]] == [str(version.price_atomic)]  # type: ignore[index]
    assert entry["title"] == operation["summary"] == body["product"]["title"]
    assert entry["answer"] == body.get("answer")
    assert required.resource is not None
    assert required.resource.url == entry["url"] == item["resource"] == operation["x-product"]["url"]
    assert json.loads(json.dumps(item)) == item


async def test_what_is_unlisted_is_named_nowhere(door: str, full_shop: Shop, http: httpx.AsyncClient) -> None:
    """In no manifest; its own document is at its address, for whoever knows that."""
    for path in (
        "/openapi.json",
        "/resources",
        "/.well-known/x402",
        "/.well-known/x402.json",
        "/.well-known/agent-card.json",
        "/llms.txt",
        "/sitemap.xml",
        f"/@{full_shop.account.handle}/openapi.json",
    ):
        answer = await http.get(door + path)
        assert answer.status_code == 200
        assert "secret" not in answer.text.lower(), path
    own = (await http.get(f"{door}/@{full_shop.account.handle}/secret/openapi.json")).json()
    assert list(own["paths"]) == [f"/@{full_shop.account.handle}/secret"]
    offered = await http.get(f"{door}/@{full_shop.account.handle}/secret")
    assert "bazaar" not in offered.text


async def test_each_manifest_names_all(door: str, full_shop: Shop, http: httpx.AsyncClient) -> None:
    """The same addresses in every form, and creators' words cannot act as markup in any."""
    mine = f"{door}/@{full_shop.account.handle}/"
    wanted = {mine + slug for slug in ("haiku", "poem", "facts", "picker")}

    async def all_of(path: str, member: str) -> list[Any]:
        found, url = [], door + path
        while True:
            page = (await http.get(url)).json()
            found += page[member].items() if isinstance(page[member], dict) else page[member]
            following = page.get("next") or page.get("x-next")
            if not following:
                return found
            url = door + following

    paths = {door + path for path, _ in await all_of("/openapi.json", "paths")}
    items = {item["resource"]: item for item in await all_of("/.well-known/x402.json", "items")}
    assert wanted <= paths == items.keys()
    told = items[mine + "poem"]
    assert told["accepts"][0]["amount"] == "10000"
    assert "quoteId" not in told["accepts"][0]["extra"]
    assert told["metadata"]["tags"] == ["verse"]

    known = (await http.get(f"{door}/.well-known/x402")).json()
    assert wanted <= set(known["resources"]) or len(known["resources"]) == 1_000
    sitemap = ElementTree.fromstring((await http.get(f"{door}/sitemap.xml")).text)  # noqa: S314 - it is our own
    pages = {f"{door}/", mine.removesuffix("/")}
    assert wanted | pages <= {entry[0].text for entry in sitemap}
    for page in pages:
        assert (await http.get(page, headers={"Accept": "text/html"})).status_code == 200
    card = (await http.get(f"{door}/.well-known/agent-card.json")).json()
    assert {"name", "description", "version", "supportedInterfaces", "capabilities", "skills"} <= card.keys()
    llms = (await http.get(f"{door}/llms.txt")).text
    assert (
        f"- [Poème \\<b\\>&\\</b\\> \\[más\\]\\(https://example.com\\)]({mine}poem): 0.01 USDC a call. Two lines.\n"
        in llms
    )
    robots = (await http.get(f"{door}/robots.txt")).text
    assert f"Sitemap: {door}/sitemap.xml" in robots


async def test_what_cannot_be_sold_is_in_no_manifest(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """A creator whose key is off sells nothing, and nobody is sent there."""
    url = f"{door}/@{shop.account.handle}/openapi.json"
    assert (await http.get(url)).status_code == 200
    async with db.pool() as pool, pool.connection() as conn:
        await conn.execute("UPDATE provider_keys SET enabled = false WHERE account_id = %s", [shop.account.id])
    assert (await http.get(url)).status_code == 404
    for path in ("/@nobody/openapi.json", "/@nobody/nothing/openapi.json", "/@NO/x/openapi.json"):
        assert (await http.get(door + path)).status_code == 404


async def test_the_catalog_of_apis(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """Each link of RFC 9727's catalog leads to what it says; HEAD names the catalog."""
    answer = await http.head(f"{door}/.well-known/api-catalog")
    assert answer.headers["Link"] == f'<{door}/.well-known/api-catalog>; rel="api-catalog"'
    assert answer.headers["Content-Type"].startswith("application/linkset+json; profile=")
    catalog, *apis = (await http.get(f"{door}/.well-known/api-catalog")).json()["linkset"]
    assert [item["href"] for item in catalog["item"]] == [api["anchor"] for api in apis]
    for link in (link for api in apis for name in api.keys() - {"anchor"} for link in api[name]):
        found = await http.get(link["href"], headers={"Accept": link["type"]})
        assert (found.status_code, found.headers["Content-Type"].partition(";")[0]) == (200, link["type"])


async def test_head_etag_and_icon(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """Every manifest answers HEAD as GET, and 304 to who has it; `Allow` names the methods."""
    well_known = ("/.well-known/x402", "/.well-known/api-catalog")
    for path in ("/openapi.json", "/llms.txt", "/robots.txt", "/sitemap.xml", "/favicon.ico", *well_known):
        whole, head = await http.get(door + path), await http.head(door + path)
        assert (whole.status_code, head.status_code) == (200, 200)
        assert head.headers["Content-Type"] == whole.headers["Content-Type"]
        known = {"If-None-Match": whole.headers["ETag"]}
        assert (await http.get(door + path, headers=known)).status_code in (200, 304)
        refused = await http.delete(door + path)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    icon = await http.get(f"{door}/favicon.ico")
    assert icon.headers["Content-Type"] == "image/x-icon"
    assert icon.content[:4] == b"\0\0\1\0"
    offered = await http.head(door + shop.path)
    assert offered.status_code == 402
    assert (await http.delete(door + shop.path)).headers["Allow"] == "GET, HEAD, POST"


async def test_the_doors_own_document(document: schemathesis.BaseSchema, door: str) -> None:
    """It names the door, whom to ask, and for each route whether it needs a key."""
    own: Any = document.raw_schema
    assert own["servers"] == [{"url": door}]
    assert own["info"]["contact"] == {"name": "x402 Instant", "url": door}
    operations = {
        f"{method} {path}": operation for path, item in own["paths"].items() for method, operation in item.items()
    }
    assert operations["get /resources"]["security"] == []
    assert operations["get /me/resources"]["security"] != []
    assert [name for name, operation in operations.items() if "security" not in operation] == []
