"""Reading the catalog: search, filters, sort orders, pages and conditional requests."""

import base64
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from api.app import create_app
from core import db
from core.accounts import accounts
from core.catalog import model_list
from core.catalog import search as catalog
from core.catalog import sync as catalog_sync
from core.resources.obstacles import ADVICE
from core.resources.repricing import reprice
from core.secrets.vault import vault
from core.settings import SANDBOX_NETWORK, settings
from tests import selling, servers

PRACTICE = json.loads((Path(__file__).parents[2] / "sandbox" / "catalog.json").read_text())


@pytest.fixture(scope="module")
def own_database(postgres: str, empty_database: str) -> Iterator[None]:
    """A database whose catalog only these tests fill; meanwhile the settings name it."""
    before = os.environ.get("INSTANT_DATABASE_URL")
    with servers.database(postgres, "shelf", like=empty_database) as url:
        os.environ["INSTANT_DATABASE_URL"] = url
        settings.cache_clear()
        yield
        if before is None:
            del os.environ["INSTANT_DATABASE_URL"]
        else:
            os.environ["INSTANT_DATABASE_URL"] = before
        settings.cache_clear()


@pytest.fixture(scope="module")
async def shelf(own_database: None, practice_facilitator: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a door whose catalog was synced twice from the practice provider, the second time with new prices."""
    app = create_app(launcher=nullcontext)
    async with app.router.lifespan_context(app):
        await sync(PRACTICE)
        await sync([row | ({"pricing": DEARER} if row["id"] == "x-ai/grok-4.1" else {}) for row in PRACTICE])
        async with db.transaction() as conn:
            await catalog.set_flags(conn, ["openai/gpt-5-mini", "z-ai/glm-4.6"], curated=True)
            await catalog.set_flags(conn, ["microsoft/phi-4"], disabled=True)
            await catalog.override_modality(conn, ["perplexity/sonar"], "text")
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as http:
            http.app = app
            yield http


DEARER = {"prompt": "0.000004", "completion": "0.00002"}


async def sync(rows: list[dict[str, Any]]) -> None:
    async with db.transaction() as conn:
        await catalog_sync.apply(conn, reprice, *model_list.parse({"data": rows}))


async def ids(shelf: httpx.AsyncClient, **query: Any) -> list[str]:
    """The ids of all pages, in order."""
    url: str | None = str(httpx.URL("/models", params=query))
    found = []
    while url:
        page = (await shelf.get(url)).raise_for_status().json()
        found += [model["id"] for model in page["models"]]
        assert len(found) <= len(PRACTICE), "the pages have no end"
        url = page["next"]
    return found


async def test_a_model_is_told(shelf: httpx.AsyncClient) -> None:
    """Prices are exact strings, and all other fields are those that the provider lists."""
    model = (await shelf.get("/models/openai/gpt-5-mini")).json()

    assert model["pricing"] == {
        "promptUsd": "0.00000025",
        "completionUsd": "0.000002",
        "requestUsd": "0",
        "imageOutputUsd": None,
        "cacheUsd": "0.000000025",
        "searchUsd": None,
        "pictureUsd": None,
        "tiers": [],
        "listed": {
            "prompt": "0.00000025",
            "completion": "0.000002",
            "input_cache_read": "0.000000025",
            "web_search": "0.01",
        },
    }
    grok = (await shelf.get("/models/x-ai/grok-4-fast")).json()["pricing"]
    assert (grok["promptUsd"], grok["completionUsd"]) == ("0.0000002", "0.0000005")
    (tier,) = grok["tiers"]
    assert (tier["abovePromptTokens"], tier["promptUsd"], tier["completionUsd"]) == (128_000, "0.0000004", "0.000001")
    assert (await shelf.get("/models/perplexity/sonar")).json()["pricing"]["searchUsd"] == "0.005"
    assert (model["provider"], model["modality"], model["tier"]) == ("openai", "multimodal", "standard")
    assert (model["sellable"], model["notSellable"], model["curated"]) == (True, None, True)
    assert {"vision", "files", "tools", "web_search", "prompt_caching"} <= set(model["capabilities"])
    assert model["releasedAt"] == "2025-05-14T11:37:14+00:00"
    assert (await shelf.get("/models/openai/gpt-4o-mini")).json()["expiresOn"] == "2027-02-27"


async def test_prices_have_a_history(shelf: httpx.AsyncClient) -> None:
    """Each change of a price is listed with its time, newest first; an unchanged model has one entry."""
    changed = (await shelf.get("/models/x-ai/grok-4.1")).json()
    prices = [past["pricing"]["completionUsd"] for past in changed["history"]]

    assert prices == [DEARER["completion"], "0.000015"]
    assert changed["history"][0]["at"] > changed["history"][1]["at"]
    assert len((await shelf.get("/models/x-ai/grok-4-fast")).json()["history"]) == 1


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("~anthropic/claude-sonnet-latest", "alias"),
        ("openai/gpt-5:batch", "batch_only"),
        ("openrouter/auto", "router"),
        ("microsoft/phi-4", "disabled"),
        ("openai/text-embedding-3-small", "unsupported_modality"),
    ],
)
async def test_what_cannot_be_sold_is_shown_with_its_reason(shelf: httpx.AsyncClient, path: str, reason: str) -> None:
    """An unsellable model is listed only with `show=all`."""
    model = (await shelf.get(f"/models/{path}")).json()

    assert (model["sellable"], model["notSellable"]) == (False, reason)
    assert path not in await ids(shelf)
    assert path in await ids(shelf, show="all")


@pytest.mark.parametrize("path", ["maker/none", "a%00b", "a b", "x" * 201, "", "%2F"])
async def test_there_is_no_such_model(shelf: httpx.AsyncClient, path: str) -> None:
    """An unknown model is a 404, whatever its id looks like."""
    answer = await shelf.get(f"/models/{path}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


FILTERS = [
    ({"search": "grok fast"}, lambda m: m["id"] == "x-ai/grok-4-fast"),
    ({"search": "GEMINI"}, lambda m: "gemini" in m["id"]),
    ({"search": "100% _ sure"}, lambda _: False),
    ({"modality": "image"}, lambda m: m["modality"] == "image"),
    ({"modality": "text"}, lambda m: m["modality"] == "text"),
    ({"provider": "google"}, lambda m: m["id"].startswith("google/")),
    ({"tier": "budget"}, lambda m: m["tier"] == "budget"),
    ({"tier": ["budget", "premium"]}, lambda m: m["tier"] in ("budget", "premium")),
    ({"minContext": 400_000}, lambda m: (m["contextLength"] or 0) >= 400_000),
    ({"capability": ["vision", "tools"]}, lambda m: {"vision", "tools"} <= set(m["capabilities"])),
    ({"parameter": "seed"}, lambda m: "seed" in m["supportedParameters"]),
    ({"sellsAs": "image"}, lambda m: "image" in m["outputModalities"]),
    ({"sellsAs": "text", "provider": "anthropic"}, lambda m: m["provider"] == "anthropic"),
    ({"sellsAs": "json"}, lambda m: "json" in m["sellsAs"]),
    ({"takes": ["image", "file"]}, lambda m: {"image", "file"} <= set(m["inputModalities"])),
    ({"maxPrice": "0.6"}, lambda m: _price(m) <= Decimal("0.0000006")),
    ({"expiresBefore": "2027-02-28"}, lambda m: (m["expiresOn"] or "never") < "2027-02-28"),
    ({"expiresBefore": "2027-02-27"}, lambda m: (m["expiresOn"] or "never") < "2027-02-27"),
    ({"reasoning": "false"}, lambda m: "reasoning" not in m["capabilities"]),
    ({"knowsUntil": "2025-01-01"}, lambda m: (m["knowledgeCutoff"] or "") >= "2025-01-01"),
    ({"openWeights": "true"}, lambda m: m["openWeights"]),
    (
        {"ids": ["openai/gpt-5", "google/gemini-2.5-pro"]},
        lambda m: m["id"] in ("openai/gpt-5", "google/gemini-2.5-pro"),
    ),
    ({"curated": "true"}, lambda m: m["curated"]),
    ({"curated": "false", "provider": "openai"}, lambda m: not m["curated"] and m["provider"] == "openai"),
]


@pytest.mark.parametrize(("query", "fits"), FILTERS, ids=[str(query) for query, _ in FILTERS])
async def test_filters(shelf: httpx.AsyncClient, query: dict[str, Any], fits: Any) -> None:
    """A filter finds exactly the sellable models that match."""
    models = (await shelf.get("/models", params={"limit": 200})).json()["models"]

    assert await ids(shelf, sort="name", **query) == [model["id"] for model in models if fits(model)]


def _price(model: dict[str, Any]) -> Decimal:
    pricing = model["pricing"]
    if pricing is None:
        return Decimal("Infinity")
    fees = Decimal(pricing["requestUsd"]) + Decimal(pricing["searchUsd"] or 0)
    return max(Decimal(pricing["completionUsd"]), Decimal(pricing["imageOutputUsd"] or 0)) + fees / 1000


ORDERS = {
    "name": lambda m: (m["name"].lower()[:100], m["id"]),
    "price": lambda m: (_price(m), m["id"]),
    "newest": lambda m: ([-ord(c) for c in m["releasedAt"] or ""], m["id"]),
    "context": lambda m: (-(m["contextLength"] or 0), m["id"]),
}


@pytest.mark.parametrize("sort", ORDERS)
@pytest.mark.parametrize("limit", [1, 7, 200])
async def test_every_order_page_by_page(shelf: httpx.AsyncClient, sort: str, limit: int) -> None:
    """With any page size, every model appears once, in order."""
    models = (await shelf.get("/models", params={"limit": 200, "show": "all"})).json()["models"]
    expected = [model["id"] for model in sorted(models, key=ORDERS[sort])]

    assert await ids(shelf, sort=sort, limit=limit, show="all") == expected
    assert len(expected) == len(PRACTICE)


async def test_a_page_goes_on_where_it_was_although_models_come_and_go(shelf: httpx.AsyncClient) -> None:
    """A cursor is a position and not a number of rows: no model is skipped or repeated."""
    everything = await ids(shelf)
    first = (await shelf.get("/models", params={"limit": 5})).json()
    async with db.transaction() as conn:
        await catalog.set_flags(conn, everything[1:3], disabled=True)
    rest = await ids(shelf, cursor=httpx.URL(first["next"]).params["cursor"])
    async with db.transaction() as conn:
        await catalog.set_flags(conn, everything[1:3], disabled=False)

    assert [model["id"] for model in first["models"]] + rest == everything


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"modality": "smell"}, "modality"),
        ({"sort": "taste"}, "sort"),
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"minContext": str(2**31)}, "minContext"),
        ({"capability": "flying"}, "capability.0"),
        ({"tier": ["budget", "gold"]}, "tier.1"),
        ({"curated": "perhaps"}, "curated"),
        ({"search": "a\0b"}, "search"),
        ({"sellsAs": "video"}, "sellsAs"),
        ({"maxPrice": "-1"}, "maxPrice"),
        ({"maxPrice": "NaN"}, "maxPrice"),
        ({"expiresBefore": "soon"}, "expiresBefore"),
        ({"ids": "a b"}, "ids.0"),
        ({"modalitty": "text"}, "modalitty"),
        ({"cursor": "none"}, "cursor"),
        ({"cursor": "W1tbW1tbW1tbW1tbW1tbW1tbW1tb" * 70}, "cursor"),
    ],
)
async def test_a_wrong_query_is_named(shelf: httpx.AsyncClient, query: dict[str, Any], field: str) -> None:
    """A filter that would silently match everything, or nothing, is 400 with a sentence about it."""
    answer = await shelf.get("/models", params=query)

    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])


async def test_all_wrong_parts_of_a_query_are_told_at_once(shelf: httpx.AsyncClient) -> None:
    """In our own words, with the nearest name for a typing error."""
    wrong = {
        "modality": "texts",
        "tier": "gold",
        "maxPrice": "-1",
        "minContext": "0",
        "limit": "201",
        "ids": "a b",
        "expiresBefore": "soon",
        "knowsUntil": "2026-01-01T10:00",
        "curated": "perhaps",
        "search": "a\0b",
        "modalitty": "text",
    }
    answer = await shelf.get("/models", params=wrong)

    assert answer.json()["fields"] == {
        "modality": "must be one of: text, image, video, audio, embedding, multimodal, other; did you mean text?",
        "tier.0": "must be one of: budget, free, premium, standard, unknown",
        "maxPrice": "must be at least 0",
        "minContext": "must be at least 1",
        "limit": "must be at most 200",
        "ids.0": "has characters that are not taken here",
        "expiresBefore": "must be a day, such as 2026-12-31",
        "knowsUntil": "must be a day, such as 2026-12-31",
        "curated": "must be true or false",
        "search": "must not contain the character U+0000",
        "modalitty": "is no parameter here; did you mean modality?",
    }


async def test_a_cursor_of_another_order(shelf: httpx.AsyncClient) -> None:
    """A cursor of another sort order is refused, because it would begin anywhere."""
    following = (await shelf.get("/models", params={"limit": 5})).json()["next"]

    assert (await shelf.get(httpx.URL(following).copy_merge_params({"sort": "price"}))).status_code == 400


async def test_forged_cursors(shelf: httpx.AsyncClient) -> None:
    """Only what we handed out for this order is a cursor, so no other text reaches the database."""
    following = (await shelf.get("/models", params={"limit": 5})).json()["next"]
    real = httpx.URL(following).params["cursor"]
    plain = json.dumps(["", "0", "a"]).encode()
    unsigned = base64.urlsafe_b64encode(plain).decode().rstrip("=")
    for_something_else = vault().token("quote", plain)
    for cursor in (unsigned, for_something_else, real[:-1], f"{real}=", f"A{real}", "\N{SNOWMAN}", ""):
        assert (await shelf.get("/models", params={"cursor": cursor})).status_code == 400
    assert (await shelf.get("/models", params={"cursor": real})).status_code == 200


@pytest.mark.parametrize("path", ["/models?limit=3", "/models/openai/gpt-5"])
async def test_a_client_that_has_it_is_told_so(shelf: httpx.AsyncClient, path: str) -> None:
    """304 without a body while nothing has changed, and the new document as soon as something has."""
    first = await shelf.get(path)
    etag = first.headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = await shelf.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    assert (await shelf.get(path, headers={"If-None-Match": '"other"'})).status_code == 200

    everything = await ids(shelf, show="all")
    async with db.transaction() as conn:
        await conn.execute("UPDATE models SET context_length = context_length + 1")
    changed = await shelf.get(path, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag
    assert await ids(shelf, show="all") == everything


async def test_what_is_told_is_what_was_announced(shelf: httpx.AsyncClient) -> None:
    """Every model's document fits the OpenAPI description, to the last field."""
    document = schemathesis.openapi.from_dict(shelf.app.openapi())
    for model_id in await ids(shelf, show="all"):
        document["/models/{model_id}"]["GET"].validate_response(await shelf.get(f"/models/{model_id}"))
    document["/models"]["GET"].validate_response(await shelf.get("/models", params={"show": "all", "limit": 200}))
    document["/models"]["GET"].validate_response(await shelf.get("/models", params={"limit": 0}))
    schemas = document.raw_schema["components"]["schemas"]
    listed = (await shelf.get("/models")).json()["models"][0]
    entry = (await shelf.get(f"/models/{listed['id']}")).json()
    assert listed.keys() == schemas["CatalogModel"]["properties"].keys()
    assert entry.keys() == schemas["CatalogEntry"]["properties"].keys()
    assert entry["history"][0].keys() == schemas["PastModel"]["properties"].keys()


async def test_a_creator_is_told_what_a_draft_costs(shelf: httpx.AsyncClient) -> None:
    """Exact decimals for the draft's own model and for cheaper ones; nobody else is answered."""
    async with db.transaction() as conn:
        _, token = await accounts.create(conn, "estimator", {SANDBOX_NETWORK: selling.ADDRESS})
    headers = {"Authorization": f"Bearer {token}"}
    draft = selling.content(model="openai/gpt-5", price_usdc="0.05")
    body = {"draft": draft, "margin": "0.25"}
    answer = await shelf.post("/estimate", json=body, headers=headers)

    assert answer.status_code == 200
    told = answer.json()
    own = told["onItsModel"]
    assert (own["model"], told["basis"]) == ("openai/gpt-5", "estimate")
    assert Decimal(own["leastUsd"]) < Decimal(own["typicalUsd"]) < Decimal(own["worstUsd"])
    assert Decimal(own["priceUsdc"]) * 3 / 4 >= Decimal(own["typicalUsd"])
    assert len(told["cheaper"]) == 5
    schemathesis.openapi.from_dict(shelf.app.openapi())["/estimate"]["POST"].validate_response(answer)
    assert (await shelf.post("/estimate", json=body)).status_code == 401
    small = {name: value for name, value in draft.items() if name != "max_output_tokens"} | {"model": "small/model"}
    async with db.transaction() as conn:
        await selling.add_model(conn, id="small/model", max_completion_tokens=300)
    bounded = await shelf.post("/estimate", json={"draft": small}, headers=headers)
    named = await shelf.post("/estimate", json={"draft": small | {"max_output_tokens": 301}}, headers=headers)
    async with db.transaction() as conn:
        await conn.execute("DELETE FROM model_history WHERE model_id = 'small/model'")
        await conn.execute("DELETE FROM models WHERE id = 'small/model'")
    assert (bounded.json()["maxOutputTokens"], told["maxOutputTokens"]) == (300, draft.get("max_output_tokens", 4096))
    assert named.json()["fields"] == {"max_output_tokens": "small/model answers at most 300 tokens"}
    for wrong, field in [({"margin": "lots"}, "margin"), ({"margin": 0.3}, "body"), ({"draft": {}}, "slug")]:
        refused = await shelf.post("/estimate", json=body | wrong, headers=headers)
        assert (refused.status_code, field in refused.json()["fields"]) == (400, True)
    unknown = await shelf.post("/estimate", json={"draft": draft | {"model": "openai/gpt5"}}, headers=headers)
    assert "did you mean openai/gpt-5" in unknown.json()["fields"]["model"]


async def test_a_creator_sees_that_a_model_ends(shelf: httpx.AsyncClient) -> None:
    """The list of what they sell says what becomes of its model, and what to switch to."""
    async with db.transaction() as conn:
        account_id, token = await accounts.create(conn, "leaver", {SANDBOX_NETWORK: selling.ADDRESS})
        await selling.publish(conn, accounts.Account(account_id, "leaver"), model="openai/gpt-4o-mini")
        await selling.publish(conn, accounts.Account(account_id, "leaver"), model="openai/gpt-5", slug="stays")
    answer = await shelf.get("/me/resources", headers={"Authorization": f"Bearer {token}"})

    assert {(sold["obstacle"], sold["advice"]) for sold in answer.json()} == {("key_missing", ADVICE["key_missing"])}
    notices = {sold["slug"]: sold["modelNotice"] for sold in answer.json()}
    assert notices["stays"] is None
    assert notices["haiku"].startswith("openai/gpt-4o-mini is served until 2027-02-27 only; switch to openai/")
    schemathesis.openapi.from_dict(shelf.app.openapi())["/me/resources"]["GET"].validate_response(answer)
