"""Syncing the catalog: what is read from a provider's list, and what a sync does to the table."""

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg import AsyncConnection
from psycopg.rows import namedtuple_row

from core import db
from core.catalog import changes as catalog_changes
from core.catalog import model_list, openrouter_listing
from core.catalog import search as catalog
from core.catalog import sync as catalog_sync
from core.catalog.model import NOT_LISTED, Model
from core.catalog.model_list import ListRefused
from core.resources.repricing import reprice
from core.settings import settings

TEXT = {"input_modalities": ["text"], "output_modalities": ["text"]}


def listed(model_id: str = "maker/model", **fields: Any) -> dict[str, Any]:
    row = {
        "id": model_id,
        "name": "Maker: Model",
        "context_length": 8192,
        "architecture": TEXT,
        "pricing": {"prompt": "0.000001", "completion": "0.000002"},
        "top_provider": {"max_completion_tokens": 4096},
        "supported_parameters": ["temperature"],
    }
    return row | fields


def listing(*rows: object) -> dict[str, object]:
    return {"data": list(rows), "total_count": len(rows), "links": {"next": None}}


def read(**fields: Any) -> Model:
    (model,), quarantined = model_list.parse(listing(listed(**fields)))
    assert not quarantined
    return model


def priced(**pricing: object) -> Model:
    return read(pricing={"prompt": "0.000001", "completion": "0.000002"} | pricing)


async def apply(conn: AsyncConnection, *rows: object) -> dict[str, int]:
    synced = await catalog_sync.apply(conn, reprice, *model_list.parse(listing(*rows)))
    counts = ("added", "changed", "unchanged", "returned", "missing", "quarantined")
    return {name: getattr(synced, name) for name in counts if getattr(synced, name)}


async def table(conn: AsyncConnection) -> list[Any]:
    return await (await conn.execute("SELECT * FROM models ORDER BY id")).fetchall()


def why(document: object) -> str:
    with pytest.raises(ListRefused, match="catalog_refused") as caught:
        model_list.parse(document)
    return caught.value.reason


@pytest.fixture(scope="module")
def own_database(postgres: str, empty_database: str) -> Iterator[str]:
    """A database of these tests alone: what others have in their catalog would count as missing."""
    from tests import servers  # here, because most tests of this file are pure

    with servers.database(postgres, "catalog", like=empty_database) as url:
        yield url


@pytest.fixture
async def conn(own_database: str) -> AsyncIterator[AsyncConnection]:
    async with await AsyncConnection.connect(own_database, row_factory=namedtuple_row) as connection:
        yield connection
        await connection.rollback()


class Provider:
    """A provider whose next answers a test decides."""

    status = 200
    body = b""
    asked = ""
    etag = ""
    condition: str | None = None

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.was_asked = threading.Event()

    def lists(self, *rows: object) -> None:
        self.body = json.dumps(listing(*rows)).encode()


@pytest.fixture
def provider(own_database: str) -> Iterator[Provider]:
    """A real server on loopback, named by the settings while the test runs."""
    decided = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            decided.asked = self.path
            decided.condition = self.headers.get("If-None-Match")
            decided.was_asked.set()
            decided.may_answer.wait(30)
            is_known = decided.etag and decided.condition == decided.etag
            body = b"" if is_known else decided.body
            self.send_response(304 if is_known else decided.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("ETag", decided.etag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api/v1"
        before = dict(os.environ)
        os.environ |= {"INSTANT_OPENROUTER_URL": url, "INSTANT_DATABASE_URL": own_database}
        settings.cache_clear()
        yield decided
        os.environ.clear()
        os.environ |= before
        settings.cache_clear()
        server.shutdown()


async def fetch() -> object:
    async with httpx.AsyncClient() as http:
        return (await model_list.fetch(http))[0]


# Reading one row


def test_a_row_is_read() -> None:
    """The columns come from the documented places, and the row is kept whole with what we do not know."""
    model = read(request_limits={"new": [1, None]})

    assert model.model_dump(exclude={"raw"}) == {
        "id": "maker/model",
        "name": "Maker: Model",
        "modality": "text",
        "capabilities": (),
        "alias_target": None,
        "released_at": None,
        "expires_on": None,
        "context_length": 8192,
        "max_completion_tokens": 4096,
        "input_modalities": ("text",),
        "output_modalities": ("text",),
        "supported_parameters": ("temperature",),
        "prompt_usd": Decimal("0.000001"),
        "completion_usd": Decimal("0.000002"),
        "request_usd": Decimal(0),
        "image_output_usd": None,
        "not_sellable": None,
        "curated": False,
        "modality_override": None,
        "disabled": False,
        "missing_since": None,
    }
    assert model.raw["request_limits"] == {"new": [1, None]}


@pytest.mark.parametrize(
    ("model_id", "reason"),
    [
        ("maker/model", None),
        ("maker/model:thinking", None),
        ("maker/model:extended", None),
        ("maker/model:free", "free_variant"),
        ("maker/model:batch", "batch_only"),
        ("maker/model:online", "variant"),
        ("maker/model:nitro", "variant"),
        ("maker/model:anything-new", "variant"),
        ("~maker/model-latest", "alias"),
        ("openrouter/auto", "router"),
        ("@preset/mine", "router"),
        ("maker/model@preset/mine", "router"),
    ],
)
def test_forms_of_ids(model_id: str, reason: str | None) -> None:
    """Forms that change cost or behaviour are not sellable; variants are allow-listed, not deny-listed."""
    assert read(id=model_id).not_sellable == reason


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        (["text"], None),
        (["image"], None),
        (["image", "text"], None),
        (["embeddings"], "unsupported_modality"),
        (["audio"], "unsupported_modality"),
        (["text", "audio"], "unsupported_modality"),
        ([], "unsupported_modality"),
        (None, "unsupported_modality"),
        ("text", "unsupported_modality"),
    ],
)
def test_modalities(outputs: object, reason: str | None) -> None:
    """Only models whose whole output we deliver and price are sellable."""
    assert read(architecture={"output_modalities": outputs}).not_sellable == reason


@pytest.mark.parametrize(
    "price", ["-1", "-0.1", "", "free", "NaN", "Infinity", "1_0", " 1", "١", "1.", ".5", None, 0.1, True, [], "1e999"]
)
@pytest.mark.parametrize("key", ["prompt", "completion", "request", "image_output", "internal_reasoning"])
def test_an_unknown_price_is_not_sellable(key: str, price: object) -> None:
    """A price that is negative or no decimal string makes the model not sellable, and never free."""
    model = priced(**{key: price})

    assert model.not_sellable == "unknown_price"
    assert model.prompt_usd is model.completion_usd is model.request_usd is None


@pytest.mark.parametrize(
    "pricing",
    [
        None,
        {},
        [],
        {"prompt": "1"},
        {"completion": "1"},
        {"prompt": "1", "completion": "1", "overrides": {"prompt": "2"}},
        {"prompt": "1", "completion": "1", "overrides": ["2"]},
        {"prompt": "1", "completion": "1", "overrides": [{"completion": "-1"}]},
    ],
)
def test_an_incomplete_price_is_not_sellable(pricing: object) -> None:
    """Missing prices, and overrides that cannot be read, are unknown prices."""
    assert read(pricing=pricing).not_sellable == "unknown_price"


@pytest.mark.parametrize(
    ("inputs", "outputs", "kind"),
    [
        (["text"], ["text"], "text"),
        (["text", "file"], ["text"], "text"),
        (["text", "image"], ["text"], "multimodal"),
        (["audio"], ["text"], "multimodal"),
        (["text"], ["image", "text"], "image"),
        (["text", "image"], ["video"], "video"),
        (["text"], ["text", "audio"], "audio"),
        (["text"], ["speech"], "audio"),
        (["text"], ["embeddings"], "embedding"),
        (["text"], ["rerank"], "embedding"),
        ([], [], "text"),
    ],
)
def test_the_kind_of_a_model(inputs: list[str], outputs: list[str], kind: str) -> None:
    """What a model makes says what it is; one that makes text is multimodal if it takes more than that."""
    assert read(architecture={"input_modalities": inputs, "output_modalities": outputs}).modality == kind


def test_capabilities_are_facts() -> None:
    """A badge needs a listed fact; a name that promises everything earns none."""
    name = {"id": "openai/gpt-4o-vision-search-tools-reasoning", "name": "Vision Search Tools", "description": "tools"}
    everything = read(
        architecture={"input_modalities": ["text", "image", "audio", "file"], "output_modalities": ["text", "image"]},
        supported_parameters=["tools", "response_format", "structured_outputs", "reasoning"],
        pricing={"prompt": "1", "completion": "1", "web_search": "0.01", "input_cache_read": "0"},
        top_provider={"is_moderated": True},
    )

    assert read(**name).capabilities == ()
    assert " ".join(everything.capabilities) == (
        "vision audio_input files image_output tools json structured_outputs reasoning web_search prompt_caching"
        " moderated"
    )
    assert priced(web_search="0").capabilities == priced(web_search="-1").capabilities == ()


@pytest.mark.parametrize(
    ("fields", "column", "value"),
    [
        ({"expiration_date": "2026-12-15"}, "expires_on", date(2026, 12, 15)),
        ({"expiration_date": "2098-12-31"}, "expires_on", None),
        ({"expiration_date": "soon"}, "expires_on", None),
        ({"expiration_date": 20261215}, "expires_on", None),
        ({"created": 1746611317}, "released_at", datetime(2025, 5, 7, 9, 48, 37, tzinfo=UTC)),
        ({"created": -1}, "released_at", None),
        ({"created": 10**20}, "released_at", None),
        ({"created": True}, "released_at", None),
        ({"alias_target": {"name": "A", "slug": "maker/a"}}, "alias_target", "maker/a"),
        ({"alias_target": {"slug": "a b"}}, "alias_target", None),
        ({"alias_target": "maker/a"}, "alias_target", None),
    ],
)
def test_what_else_a_row_says(fields: dict[str, Any], column: str, value: object) -> None:
    """Ends, births, aliases and descriptions are read where they are what they should be."""
    assert getattr(read(**fields), column) == value


def test_prices_that_no_call_of_ours_is_charged() -> None:
    """An odd price for something we never ask for does not stop the sale."""
    assert priced(web_search="-1", audio=None, input_cache_write="?").not_sellable is None


def test_exact_prices() -> None:
    """The longest price seen in a real catalog survives digit by digit; exponents and integers are prices too."""
    assert priced(prompt="0.0000000416666666666667").prompt_usd == Decimal("0.0000000416666666666667")
    assert priced(prompt="4e-7").prompt_usd == Decimal("0.0000004")
    assert priced(prompt=0).prompt_usd == 0


def test_a_discount_is_not_counted_on() -> None:
    """A discount may end at any time, so the worst case leaves it out."""
    assert priced(discount=0.5).prompt_usd == Decimal("0.000001")


def test_reasoning_that_costs_more_than_answers() -> None:
    """Reasoning tokens count as answer tokens, so the dearer of the two is the price of an answer token."""
    assert priced(internal_reasoning="0.000009").completion_usd == Decimal("0.000009")
    assert priced(internal_reasoning="0").completion_usd == Decimal("0.000002")


prices = st.decimals(min_value=0, max_value=1, places=12).map(lambda price: format(price, "f"))
charged = st.fixed_dictionaries({}, optional=dict.fromkeys(("prompt", "completion", "request", "image_output"), prices))


@given(base=charged, overrides=st.lists(charged), hour=st.integers(0, 2359))
def test_the_worst_price_per_key(base: dict[str, str], overrides: list[dict[str, str]], hour: int) -> None:
    """Each price is the maximum over the list price and all overrides, in whatever order and on whatever condition."""
    base = {"prompt": "0", "completion": "0"} | base
    conditional = [{"utc_start": hour, "min_prompt_tokens": 1} | override for override in overrides]

    model = read(pricing=base | {"overrides": conditional})

    for key in ("prompt", "completion", "request", "image_output"):
        worst = max((Decimal(entry[key]) for entry in (base, *overrides) if key in entry), default=None)
        assert getattr(model, f"{key}_usd") == (Decimal(0) if key == "request" and worst is None else worst)


# Reading a list


@pytest.mark.parametrize(
    ("row", "place", "reason"),
    [
        (7, "row 1", "no_id"),
        ({}, "row 1", "no_id"),
        ({"id": 7}, "row 1", "no_id"),
        ({"id": "a b"}, "row 1", "no_id"),
        ({"id": "row 1"}, "row 1", "no_id"),
        ({"id": "x" * 201}, "row 1", "no_id"),
        (listed("b/b", name="a\0"), "b/b", "unstorable_text"),
        (listed("b/b", deep=[{"x": "\ud800"}]), "b/b", "unstorable_text"),
        (listed("b/b", huge=float("inf")), "b/b", "unstorable_text"),
    ],
)
def test_a_bad_row_is_put_aside(row: object, place: str, reason: str) -> None:
    """One row that cannot be kept is put aside with its reason, and its neighbours are read."""
    models, quarantined = model_list.parse(listing(listed("a/a"), row, listed("c/c")))

    assert [model.id for model in models] == ["a/a", "c/c"]
    assert [(bad.id, bad.reason) for bad in quarantined] == [(place, reason)]
    assert json.dumps(row).startswith(quarantined[0].listed)


def test_rows_of_one_id() -> None:
    """A row that is listed twice is one model; rows that contradict each other are none."""
    same = listing(listed("a/a"), listed("b/b"), listed("a/a"))
    contradicting = listing(listed("a/a"), listed("b/b"), listed("a/a", pricing={}), listed("a/a"))

    assert [model.id for model in model_list.parse(same)[0]] == ["a/a", "b/b"]
    models, (bad,) = model_list.parse(contradicting)
    assert [model.id for model in models] == ["b/b"]
    assert (bad.id, bad.reason) == ("a/a", "contradiction")


def test_odd_fields_do_not_cost_a_row() -> None:
    """Fields of unexpected types read as not told; the row stays."""
    model = read(
        name=None, context_length="8k", architecture=None, top_provider=[], supported_parameters=[1, "stop"], pricing=3
    )

    assert (model.name, model.context_length, model.max_completion_tokens) == ("maker/model", None, None)
    assert (model.supported_parameters, model.not_sellable) == (("stop",), "unsupported_modality")
    assert read(context_length=2**31).context_length is None


def test_an_escaped_backslash_is_no_nul() -> None:
    """Text that spells out an escape is text."""
    assert read(name="\\u0000").name == "\\u0000"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (None, "malformed"),
        ([], "malformed"),
        ({}, "malformed"),
        ({"error": {"code": 500}}, "malformed"),
        ({"data": {}}, "malformed"),
        ({"data": []}, "empty"),
        ({"data": [{}, 7]}, "empty"),
        ({"data": [listed()], "links": {"next": "/api/v1/models?offset=1"}}, "truncated"),
        ({"data": [listed()], "total_count": 2}, "truncated"),
    ],
)
def test_a_list_that_cannot_be_trusted(document: object, reason: str) -> None:
    """What is no list, holds no model, or says that there is more, is refused whole."""
    assert why(document) == reason


def test_a_list_without_totals() -> None:
    """Older answers hold only `data`."""
    assert len(model_list.parse({"data": [listed()]})[0]) == 1


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | prices,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=4),
    max_leaves=12,
)
rows = st.dictionaries(st.sampled_from(sorted(listed())), anything).map(lambda fields: listed() | fields)


@given(document=anything | st.builds(lambda rows: {"data": rows}, st.lists(anything | rows)))
def test_parse_reads_or_refuses(document: object) -> None:
    """On any JSON, parse answers or raises Refused; a sellable model has known, finite, non-negative prices."""
    try:
        models, _ = model_list.parse(document)
    except ListRefused:
        return

    for model in models:
        if model.not_sellable is None:
            assert model.prompt_usd is not None
            assert model.completion_usd is not None
            assert min(model.prompt_usd, model.completion_usd, model.request_usd or Decimal(0)) >= 0


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=rows, extra=anything)
@example(row=listed(name="\\u0000"), extra=None)
@example(row=listed(), extra={"\0": "\\\0"})
async def test_what_is_read_can_be_stored(conn: AsyncConnection, row: dict[str, Any], extra: object) -> None:
    """Whatever parse lets through, Postgres takes: one strange row cannot fail a sync."""
    models, bad = model_list.parse(listing(row | {"id": "a/b", "extra": extra}, listed("c/d")))

    await catalog_sync.apply(conn, reprice, models, bad)

    stored = await table(conn)
    assert [row.id for row in stored] == (["c/d"] if bad else ["a/b", "c/d"])
    await conn.rollback()


# Applying a list


async def test_counts(conn: AsyncConnection) -> None:
    """Each listed model is added, changed, unchanged or returned, each absent one missing, each bad row put aside."""
    six = [listed(f"m/{n}") for n in range(6)]

    assert await apply(conn, *six) == {"added": 6}
    assert await apply(conn, *six) == {"unchanged": 6}
    assert await apply(conn, *six[:5], 7) == {"unchanged": 5, "missing": 1, "quarantined": 1}
    assert await apply(conn, *six[:5]) == {"unchanged": 5}
    assert await apply(conn, six[5], listed("m/0", name="New"), *six[1:5], listed("m/6")) == {
        "added": 1,
        "changed": 1,
        "unchanged": 4,
        "returned": 1,
    }


async def test_find_gives_what_was_listed(conn: AsyncConnection) -> None:
    """A model comes back from the table as it was read, exact prices and unknown fields included."""
    row = listed(pricing={"prompt": "0.0000000416666666666667", "completion": "1e-7"}, new={"a": [1, None, "ü"]})
    await apply(conn, row)

    assert await catalog.find(conn, "maker/model") == model_list.parse(listing(row))[0][0]
    assert await catalog.find(conn, "maker/other") is None


@pytest.mark.parametrize(("listed_as", "shown"), [("As told", "As told"), (7, ""), (None, ""), ({"a": 1}, "")])
async def test_descriptions(conn: AsyncConnection, listed_as: object, shown: str) -> None:
    """A description is text, or there is none."""
    await apply(conn, listed("a/b", description=listed_as))

    assert (await catalog.show(conn, "a/b")).description == shown


async def test_an_absence_is_marked_and_forgiven(conn: AsyncConnection) -> None:
    """An absent model keeps its row and the time of its first absence; a return clears it, changed or not."""
    six = [listed(f"m/{n}") for n in range(6)]
    await apply(conn, *six)
    await apply(conn, *six[1:])
    await conn.execute("UPDATE models SET missing_since = '2026-01-01' WHERE id = 'm/0'")
    await apply(conn, *six[1:])

    absent = await catalog.find(conn, "m/0")
    assert absent is not None
    assert absent.missing_since is not None
    assert absent.missing_since.year == 2026
    assert absent.missing_since.month == 1

    assert (await apply(conn, listed("m/0", name="New"), *six[1:]))["returned"] == 1
    assert [row.missing_since for row in await table(conn)] == [None] * 6
    assert (await table(conn))[0].name == "New"


async def test_unchanged_rows_are_not_written(conn: AsyncConnection) -> None:
    """A sync without news writes no row."""
    await apply(conn, listed("m/0"), listed("m/1"))
    before = await (await conn.execute("SELECT id, ctid FROM models ORDER BY id")).fetchall()

    await apply(conn, listed("m/1"), listed("m/0"))

    assert await (await conn.execute("SELECT id, ctid FROM models ORDER BY id")).fetchall() == before


READ = sorted(set(Model.model_fields) - {"id", "raw", *NOT_LISTED})


@pytest.mark.parametrize("column", READ)
async def test_what_we_read_is_compared_too(conn: AsyncConnection, column: str) -> None:
    """When our reading of the same row changes, in whatever column, the table follows."""
    row = listed("m/0", pricing={"prompt": "1", "completion": "1", "image_output": "1"})
    await apply(conn, row)
    values = {"text": "'audio'", "integer": "7", "numeric": "7", "text[]": "'{before}'", "date": "'2026-01-01'"}
    values["timestamp with time zone"] = values["date"]
    (kind,) = await anext(await conn.execute(f"SELECT pg_typeof({column})::text FROM models"))  # noqa: S608
    await conn.execute(f"UPDATE models SET {column} = {values[kind]}")  # noqa: S608 - a column of ours

    assert await apply(conn, row) == {"changed": 1}
    assert await catalog.find(conn, "m/0") == model_list.parse(listing(row))[0][0]


async def test_the_operators_switches_stay(conn: AsyncConnection) -> None:
    """No sync writes what the operator said: not by a change, not by an absence and a return."""
    six = [listed(f"m/{n}") for n in range(6)]
    await apply(conn, *six)
    await catalog.set_flags(conn, ["m/0"], curated=True, disabled=True)
    await catalog.override_modality(conn, ["m/0"], "audio")

    await apply(conn, *six[1:])
    await apply(conn, *six)
    await apply(conn, listed("m/0", name="New"), *six[1:])

    switches = [(row.curated, row.modality_override, row.disabled) for row in await table(conn)]
    assert switches == [(True, "audio", True)] + [(False, None, False)] * 5


async def test_a_fifth_may_go_missing_and_no_more(conn: AsyncConnection) -> None:
    """Losing a fifth of the present models is churn; one more is a truncated list, refused with nothing changed."""
    ten = [listed(f"m/{n}") for n in range(10)]
    await apply(conn, *ten)
    before = await table(conn)

    with pytest.raises(ListRefused, match="shrunk"):
        await apply(conn, *ten[3:], *[listed(f"new/{n}") for n in range(5)])
    assert await table(conn) == before

    assert await apply(conn, *ten[2:]) == {"unchanged": 8, "missing": 2}
    assert await apply(conn, *ten[3:]) == {"unchanged": 7, "missing": 1}


async def test_an_operator_may_accept_a_loss(conn: AsyncConnection) -> None:
    """A catalog that nobody synced for months has really lost more than a fifth; an empty list stays refused."""
    ten = [listed(f"m/{n}") for n in range(10)]
    await apply(conn, *ten)

    with pytest.raises(ListRefused, match=r"7 of 10 models .* --accept-loss"):
        await apply(conn, *ten[:3])
    synced = await catalog_sync.apply(conn, reprice, *model_list.parse(listing(*ten[:3])), accept_loss=True)

    assert (synced.unchanged, synced.missing) == (3, 7)
    assert why({"data": []}) == "empty"


async def history(conn: AsyncConnection, model_id: str) -> list[Any]:
    """What the history tells of a model, oldest first."""
    return list(reversed(await catalog.history(conn, model_id)))


async def test_history_has_every_change_once(conn: AsyncConnection) -> None:
    """Prices, capabilities, absences and returns are kept; what a list repeats, and what is no such thing, is not."""
    others = [listed(f"m/{n}") for n in range(1, 6)]
    dear = {"prompt": "0.000008", "completion": "0.000016"}
    for rows in (
        [listed("m/0")],
        [listed("m/0")],
        [listed("m/0", description="new words", benchmarks={"new": 1})],
        [listed("m/0", pricing=dear)],
        [],
        [],
        [listed("m/0", pricing=dear)],
        [listed("m/0", pricing=dear, supported_parameters=["tools"])],
        [listed("m/0", pricing={"prompt": "-1", "completion": "-1"}, supported_parameters=["tools"])],
    ):
        await apply(conn, *rows, *others)

    told = [(row.listed, row.completion_usd, row.capabilities) for row in await history(conn, "m/0")]
    assert told == [
        (True, Decimal("0.000002"), []),
        (True, Decimal("0.000016"), []),
        (False, Decimal("0.000016"), []),
        (True, Decimal("0.000016"), []),
        (True, Decimal("0.000016"), ["tools"]),
        (True, None, ["tools"]),
    ]
    assert len(await history(conn, "m/1")) == 1


async def test_the_news_of_a_sync(conn: AsyncConnection) -> None:
    """What was added, lost, returned, repriced or changed is told by name, before and after, most pressing first."""
    rest = [listed(f"m/{n}") for n in range(6)]
    await apply(conn, listed("m/back"), *rest)
    await apply(conn, *rest)
    # Each sync has a time of its own, as it has a transaction of its own.
    await conn.execute("UPDATE model_history SET at = at - interval '1 day'")
    changed = [
        listed("m/1", pricing={"prompt": "0.000002", "completion": "0.0000025", "request": "0.01"}),
        listed("m/2", top_provider={"max_completion_tokens": 1024}, supported_parameters=["seed"]),
        listed("m/3", pricing={"prompt": "-1", "completion": "1"}),
    ]
    synced = await catalog_sync.apply(
        conn, reprice, *model_list.parse(listing(*changed, *rest[4:], listed("m/back"), listed("m/new"), {}))
    )

    assert catalog_changes.table(synced.news) == [
        {"what": "lost", "model": "m/0", "was": "listed", "is": "not listed"},
        {
            "what": "repriced",
            "model": "m/1",
            "was": "$1 in, $2 out",
            "is": "$2 in, $2.5 out, $0.01 a call",
        },
        {
            "what": "repriced, changed",
            "model": "m/3",
            "was": "$1 in, $2 out; obstacle -",
            "is": "price unknown; obstacle unknown_price",
        },
        {"what": "returned", "model": "m/back", "was": "not listed", "is": "listed"},
        {
            "what": "changed",
            "model": "m/2",
            "was": "longest answer 4096; parameters -temperature",
            "is": "longest answer 1024; parameters +seed",
        },
        {"what": "added", "model": "m/new", "was": "", "is": "$1 in, $2 out"},
        {"what": "in quarantine", "model": "row 7", "was": "", "is": "no_id"},
    ]
    assert synced.summary() == ("1 added, 1 missing, 1 returned, 2 repriced, 3 changed, 2 unchanged, 1 in quarantine")
    assert await catalog_changes.read(conn, synced.at) == synced.news


async def test_quarantine_is_of_the_last_list(conn: AsyncConnection) -> None:
    """A bad row is kept with its reason since when it is bad, and is gone when the list no longer has it."""
    await apply(conn, listed("a/a"), {"no": "id"}, listed("b/b", name="\0"))
    await conn.execute("UPDATE quarantined_models SET first_seen_at = '2026-01-01'")
    await apply(conn, listed("a/a"), listed("b/b", name="\0\0"))

    ((bad_id, reason, since, beginning),) = await catalog.quarantine(conn)
    assert (bad_id, reason, since.month) == ("b/b", "unstorable_text", 1)
    assert json.loads(beginning)["name"] == "\0\0"

    await apply(conn, listed("a/a"))
    assert await catalog.quarantine(conn) == []


# Fetching


async def test_fetch_asks_for_every_modality(provider: Provider) -> None:
    """Without the parameter the provider lists text models only."""
    row = listed(name='Brackets in text: "[[[[" \\', deep=[[[{"a": []}]]] * 100)
    provider.lists(row)

    assert await fetch() == listing(row)
    assert provider.asked == "/api/v1/models?output_modalities=all"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"{}", "unreachable"),
        (302, b"{}", "unreachable"),
        (200, b"", "malformed"),
        (200, b"<html>", "malformed"),
        (200, b'{"data": [{"id": "a/b", "x": NaN}]}', "malformed"),
        (200, b'{"data": [{"id": "a/b"', "malformed"),
        (200, b"\xff\xfe\x00", "malformed"),
        (200, b"[" * 1_000_000, "malformed"),
        (200, b'{"data": [' + b"[" * 65 + b"]" * 65 + b"]}", "malformed"),
        (200, b" " * (32 * 1024 * 1024) + b"{}", "malformed"),
    ],
)
async def test_an_answer_that_is_no_catalog(provider: Provider, status: int, body: bytes, reason: str) -> None:
    """Errors, redirects, and bodies that are not JSON or far too large are refused with a code, not an exception."""
    provider.status, provider.body = status, body

    with pytest.raises(ListRefused, match=reason) as caught:
        await fetch()

    assert caught.value.__cause__ is None


async def test_nobody_answers(provider: Provider) -> None:
    """A provider that cannot be reached is a refusal like any other."""
    from tests import servers

    os.environ["INSTANT_OPENROUTER_URL"] = f"http://127.0.0.1:{servers.free_port()}"
    settings.cache_clear()

    with pytest.raises(ListRefused, match="unreachable"):
        await fetch()


# Both together


async def test_sync_holds_no_connection_while_it_fetches(provider: Provider) -> None:
    """Every connection of the pool is free until the provider has answered."""
    provider.lists(listed("s/1"))
    provider.may_answer.clear()
    async with db.pool() as pool:
        await pool.wait()
        syncing = asyncio.create_task(catalog_sync.sync(pool, reprice))
        await asyncio.to_thread(provider.was_asked.wait, 30)
        stats = pool.get_stats()
        provider.may_answer.set()
        synced = await syncing

        assert stats["pool_available"] == stats["pool_size"]
        assert (synced.outcome, synced.summary()) == ("applied", "1 added")
        async with pool.connection() as conn:
            assert await catalog.find(conn, "s/1") is not None
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


async def test_syncs_at_once_take_turns(provider: Provider) -> None:
    """Of several syncs of the same list at once, one adds and the others find it done."""
    provider.lists(*[listed(f"s/{n}") for n in range(50)])
    async with db.pool() as pool:
        results = await asyncio.gather(*[catalog_sync.sync(pool, reprice) for _ in range(5)])

        assert sorted(synced.added for synced in results) == [0, 0, 0, 0, 50]
        assert sorted(synced.unchanged for synced in results) == [0, 50, 50, 50, 50]
        async with pool.connection() as conn:
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


async def test_a_refused_sync_changes_nothing(provider: Provider) -> None:
    """A truncated list leaves the committed catalog exactly as it was."""
    async with db.pool() as pool:
        provider.lists(*[listed(f"s/{n}") for n in range(10)])
        await catalog_sync.sync(pool, reprice)
        provider.lists(*[listed(f"s/{n}") for n in range(5)])
        async with pool.connection() as conn:
            before = await table(conn)

        with pytest.raises(ListRefused, match="shrunk"):
            await catalog_sync.sync(pool, reprice)

        async with pool.connection() as conn:
            assert await table(conn) == before
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


async def last_sync(pool: db.Pool) -> Any:
    async with pool.connection() as conn:
        return (await catalog.syncs(conn, 1))[0]


async def test_a_list_that_did_not_change_is_not_fetched_again(provider: Provider) -> None:
    """What the provider said of the list it is asked again; that nothing changed is noted, and changes nothing."""
    provider.lists(listed("s/1"))
    provider.etag = '"one"'
    async with db.pool() as pool:
        assert (await catalog_sync.sync(pool, reprice)).outcome == "applied"
        assert provider.condition is None

        again = await catalog_sync.sync(pool, reprice)
        assert (provider.condition, again.outcome, again.news.changes) == ('"one"', "not_modified", ())
        assert (await last_sync(pool)).at == again.at

        provider.lists(listed("s/1"), listed("s/2"))
        provider.etag = '"two"'
        assert (await catalog_sync.sync(pool, reprice)).added == 1
        async with pool.connection() as conn:
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


@pytest.mark.parametrize("change", ["source = 'older code'", "at = at - interval '8 days'"])
async def test_old_validators_are_not_used(provider: Provider, change: str) -> None:
    """Another version of ours reads the list anew, and so does anybody after a week."""
    provider.lists(listed("s/1"))
    provider.etag = '"one"'
    async with db.pool() as pool:
        await catalog_sync.sync(pool, reprice)
        async with pool.connection() as conn:
            await conn.execute(f"UPDATE catalog_syncs SET {change}".encode())  # noqa: S608 - a change of ours

        assert (await catalog_sync.sync(pool, reprice)).outcome == "applied"
        assert provider.condition is None
        async with pool.connection() as conn:
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


async def test_a_new_reader_reads_the_list_anew(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the provider calls unmodified was read by an older version of ours."""
    provider.lists(listed("s/1"))
    provider.etag = '"one"'
    async with db.pool() as pool:
        await catalog_sync.sync(pool, reprice)
        monkeypatch.setattr(openrouter_listing, "READER_VERSION", openrouter_listing.READER_VERSION + 1)

        assert (await catalog_sync.sync(pool, reprice)).outcome == "applied"
        assert provider.condition is None
        async with pool.connection() as conn:
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


async def test_a_refused_list_leaves_its_validators_unknown(provider: Provider) -> None:
    """A refusal is noted; the list is fetched in full until one is applied, so that it cannot hide behind a 304."""
    async with db.pool() as pool:
        provider.lists()
        provider.etag = '"bad"'
        for _ in range(2):
            with pytest.raises(ListRefused, match="empty"):
                await catalog_sync.sync(pool, reprice)
            assert provider.condition is None
        seen = await last_sync(pool)
        assert (seen.outcome, seen.why) == ("refused", "empty")
        async with pool.connection() as conn:
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


async def test_nobody_asked_for_a_304(provider: Provider) -> None:
    """A server that answers "not modified" to an unconditional request has not answered."""
    provider.status = 304

    with pytest.raises(ListRefused, match="unreachable"):
        await fetch()
