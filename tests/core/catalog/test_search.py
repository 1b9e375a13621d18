"""Search of the catalog by relevance, over every model that OpenRouter listed on one day in August 2026."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from core.catalog import model_list
from core.catalog import search as catalog
from core.catalog import sync as catalog_sync
from core.catalog.search import Filters, ListedModel
from core.failures import InvalidInput
from core.resources import draft as drafts
from core.resources import publishing
from core.resources.repricing import reprice
from tests.selling import content, creator

FACTS = json.loads((Path(__file__).parents[2] / "data" / "openrouter_facts.json").read_text())


@pytest.fixture
async def shelf(conn: AsyncConnection[Any]) -> AsyncConnection[Any]:
    """A catalog of these models."""
    await catalog_sync.apply(conn, reprice, *model_list.parse({"data": FACTS}), accept_loss=True)
    return conn


async def found(conn: AsyncConnection[Any], most: int = 200, **filters: Any) -> list[ListedModel]:
    rows, _ = await catalog.page(conn, Filters(**filters), most=most)
    return rows


def _is(*ids: str) -> Callable[[ListedModel], bool]:
    return lambda row: row.id in ids


WANTED: dict[str, Callable[[ListedModel], bool]] = {
    "gpt 5 mini": _is("openai/gpt-5-mini"),
    "gpt5 mini": _is("openai/gpt-5-mini"),
    "claude sonnet": _is("anthropic/claude-sonnet-5"),
    "claude sonet latest": _is("anthropic/claude-sonnet-5"),
    "sonnet 4.5": _is("anthropic/claude-sonnet-4.5"),
    "claud opus": _is("anthropic/claude-opus-5"),
    "cheap vision model": lambda row: row.tier == "budget" and "vision" in row.capabilities,
    "image generation": lambda row: "image" in row.output_modalities,
    "gemni flash": _is("google/gemini-3.7-flash"),
    "deepseek v3": _is("deepseek/deepseek-chat", "deepseek/deepseek-chat-v3-0324"),
    "gpt-4o": _is("openai/gpt-4o"),
    "nano banana": _is("google/gemini-2.5-flash-image", "google/gemini-3-pro-image"),
    "web search": lambda row: "web_search_options" in row.supported_parameters,
    "o3": _is("openai/o3"),
}


async def test_the_wanted_model_comes_first(shelf: AsyncConnection[Any]) -> None:
    """Each search that people tried finds what they wanted first or second."""
    missed = {}
    for search, is_wanted in WANTED.items():
        rows = await found(shelf, most=2, search=search)
        if not any(map(is_wanted, rows)):
            missed[search] = [row.id for row in rows]

    assert missed == {}


async def test_every_word_has_to_fit(shelf: AsyncConnection[Any]) -> None:
    """A word that fits nowhere finds nothing, and text without words does not find everything."""
    assert await found(shelf, search="claude xylophone") == []
    assert await found(shelf, search="%%% _") == []
    assert len(await found(shelf, search="  ")) == len(await found(shelf)) == 200


async def test_pages_by_relevance_have_every_model_once(shelf: AsyncConnection[Any]) -> None:
    """The order goes on where the page before ended, also among models that fit equally well."""
    everything = [row.id for row in await found(shelf, search="claude")]
    wanted, ids, cursor = Filters(search="claude"), list[str](), None
    while cursor or not ids:
        rows, cursor = await catalog.page(shelf, wanted, after=cursor, most=3)
        ids += [row.id for row in rows]

    assert ids == everything
    assert len(ids) > 10


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [
        ("anthropic/claude-sonet-4.5", "anthropic/claude-sonnet-4.5"),
        ("openai/gpt5-mini", "openai/gpt-5-mini"),
        ("claude-opus-5", "anthropic/claude-opus-5"),
        ("openai/gpt-5-mini-2025-08-07", "openai/gpt-5-mini"),
    ],
)
async def test_an_unknown_id_is_answered_with_what_may_be_meant(
    shelf: AsyncConnection[Any], unknown: str, meant: str
) -> None:
    """Publishing on an id that is not listed names the most similar models that can be sold."""
    owner = await creator(shelf)
    with pytest.raises(InvalidInput) as refused:
        await publishing.publish(shelf, owner.id, drafts.read(content(model=unknown)))

    sentence = refused.value.fields["model"]
    assert sentence.startswith(f"{unknown} is not in the catalog; did you mean {meant}")


async def test_nothing_is_suggested_for_an_id_like_no_other(shelf: AsyncConnection[Any]) -> None:
    """No model is named where none is similar."""
    assert await catalog.not_in_catalog(shelf, "zzz/qqq") == "is not in the catalog"
