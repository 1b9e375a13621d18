"""Search of the catalog by relevance, over every model that OpenRouter listed on one day in August 2026."""

import json
from collections.abc import Callable
from decimal import Decimal
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
    "gpt5mini": _is("openai/gpt-5-mini"),
    "gpt5nano": _is("openai/gpt-5-nano"),
    "o4mini": _is("openai/o4-mini"),
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
    "the cheapest vision model with json": lambda row: row.tier == "budget" and "vision" in row.capabilities,
    "text to image": lambda row: "image" in row.output_modalities,
    "open source vision": lambda row: row.open_weights and "vision" in row.capabilities,
}


async def test_the_wanted_model_comes_first(shelf: AsyncConnection[Any]) -> None:
    """Each search that people tried finds what they wanted first or second."""
    missed = {}
    for search, is_wanted in WANTED.items():
        rows = await found(shelf, most=2, search=search)
        if not any(map(is_wanted, rows)):
            missed[search] = [row.id for row in rows]

    assert missed == {}


async def test_a_fee_for_each_call_is_not_cheap(conn: AsyncConnection[Any]) -> None:
    """Whatever its tokens cost; a model without a fee is."""
    row = FACTS[0] | {"name": "Zyx", "supported_parameters": ["web_search_options"]}
    tokens = {"prompt": "0.0000001", "completion": "0.0000001"}
    for fee in ({"request": "0.005"}, {"web_search": "0.005"}, {}):
        listed = row | {"pricing": tokens | fee}
        await catalog_sync.apply(conn, reprice, *model_list.parse({"data": [listed]}), accept_loss=True)
        kept = [] if fee else [row["id"]]
        assert [model.id for model in await found(conn, search="cheap zyx")] == kept
        # Half a cent over 1000 tokens is 5 dollars for a million.
        (model,) = await found(conn, search="zyx")
        assert (model.tier, model.output_usd) == (
            ("premium", Decimal("0.0000051")) if fee else ("budget", Decimal("1e-7"))
        )
        assert [one.id for one in await found(conn, search="zyx", most_usd=Decimal("0.000005"))] == kept


async def test_every_word_has_to_fit(shelf: AsyncConnection[Any]) -> None:
    """A word that fits nowhere finds nothing, and text without words does not find everything."""
    assert await found(shelf, search="claude xylophone") == []
    assert await found(shelf, search="%%% _") == []
    assert len(await found(shelf, search="  ")) == len(await found(shelf)) == 200


async def test_a_description_is_found_as_it_is_now(conn: AsyncConnection[Any]) -> None:
    """Also when only the description changed; a change of something else leaves it found."""
    listed = dict(FACTS[0])
    for change, word in (
        ({"description": "Writes limericks."}, "limerick"),
        ({"description": "Writes sonnets.", "name": "Bard"}, "sonnet"),
        ({"name": "Skald"}, "sonnet"),
    ):
        listed |= change
        await catalog_sync.apply(conn, reprice, *model_list.parse({"data": [listed]}), accept_loss=True)
        assert [row.id for row in await found(conn, search=word)] == [listed["id"]]
    assert await found(conn, search="limerick") == []


@pytest.mark.parametrize(
    ("said", "searched", "fits"),
    [
        ("Coding and roleplaying.", "code roleplay", True),
        ("Made for summaries", "summarize", True),
        ("For dying stars.", "dying", True),
        ("It categorizes pictures of cats.", "cat", True),
        ("It categorizes pictures.", "cat", False),
        ("Knows APIs of v4.5.", "api v4.5", True),
        ("Knows v415.", "zyx v4.5", False),
        ("The zebra.", "zebras", True),
    ],
)
async def test_words_of_a_description(conn: AsyncConnection[Any], said: str, searched: str, fits: bool) -> None:
    """A word fits whatever begins with its stem; a short one only itself and its plural."""
    row = {"id": "qq/qq", "name": "Qq", "description": said, "pricing": {"prompt": "1e-6", "completion": "1e-6"}}
    row |= {"architecture": {"input_modalities": ["text"], "output_modalities": ["text"]}}
    await catalog_sync.apply(conn, reprice, *model_list.parse({"data": [row]}), accept_loss=True)

    assert [one.id for one in await found(conn, search=searched)] == (["qq/qq"] if fits else [])


async def test_pages_by_relevance_have_every_model_once(shelf: AsyncConnection[Any]) -> None:
    """The order goes on where the page before ended, also among models that fit equally well."""
    everything = [row.id for row in await found(shelf, search="claude")]
    wanted, ids, cursor = Filters(search="claude"), list[str](), None
    while cursor or not ids:
        rows, cursor = await catalog.page(shelf, wanted, after=cursor, most=3)
        ids += [row.id for row in rows]

    assert ids == everything
    assert len(ids) > 10


async def test_the_rule_recommends_a_few_of_every_kind(shelf: AsyncConnection[Any]) -> None:
    """It chooses 20 to 30 of several makers and tiers for each modality, and undoes what was chosen otherwise."""
    await catalog.set_flags(shelf, ["mistralai/mistral-nemo"], curated=True)
    await catalog.curate_by_rule(shelf)
    chosen = await found(shelf, curated=True)
    await catalog.curate_by_rule(shelf)

    assert 20 <= len(chosen) <= 30
    assert [row.id for row in await found(shelf, curated=True)] == [row.id for row in chosen]
    assert {modality for row in chosen for modality in row.sells_as} == {"text", "json", "image"}
    assert {row.tier for row in chosen} >= {"budget", "standard", "premium"}
    assert len({row.provider for row in chosen}) >= 8
    assert "anthropic/claude-opus-5" in {row.id for row in chosen}
    assert not {"anthropic/claude-opus-5-fast", "mistralai/mistral-nemo"} & {row.id for row in chosen}


async def test_only_the_first_list_is_curated(conn: AsyncConnection[Any]) -> None:
    """What the operator no longer recommends stays so after the next list."""
    await conn.execute("DELETE FROM catalog_syncs")
    await catalog_sync.apply(conn, reprice, *model_list.parse({"data": FACTS}), accept_loss=True)
    chosen = [row.id for row in await found(conn, curated=True)]
    await catalog.set_flags(conn, chosen[:1], curated=False)
    await catalog_sync.apply(conn, reprice, *model_list.parse({"data": FACTS}))

    assert len(chosen) >= 20
    assert [row.id for row in await found(conn, curated=True)] == chosen[1:]


async def test_what_is_sold_is_popular(shelf: AsyncConnection[Any]) -> None:
    """A model with more paid calls that were answered comes first, then recommended ones."""
    sold, curated = "openai/gpt-4o", "openai/o3"
    await catalog.set_flags(shelf, [row.id for row in await found(shelf, curated=True)], curated=False)
    await catalog.set_flags(shelf, [curated], curated=True)
    owner = await creator(shelf)
    published = await publishing.publish(shelf, owner.id, drafts.read(content(model=sold)))
    zeros = "failed, declined, fault_buyer, fault_creator, fault_provider, fault_ours, charged, sends, input_tokens,"
    zeros += " output_tokens, revenue_atomic, cost_usd, cost_unknown, spent_usd"
    await shelf.execute(
        f"INSERT INTO usage_rollup (span, starts_at, account_id, version_id, kind, calls, succeeded, {zeros},"  # noqa: S608 - the names are ours
        " settle, queue, upstream, total) VALUES ('day', date_trunc('day', now(), 'UTC'), %s, %s, 'paid', 1, 1,"
        f" {', '.join('0' for _ in zeros.split(','))}, '{{}}', '{{}}', '{{}}', '{{}}')".encode(),
        [owner.id, published.version_id],
    )

    assert [row.id for row in await found(shelf, most=2, sort="popular")] == [sold, curated]

    # Our own success rate: of 20 calls that were not declined, 18 answers, one of them cut off.
    counts = "UPDATE usage_rollup SET calls = %s, succeeded = 18, truncated = 1, declined = 3, failed = 2"
    await shelf.execute(counts.encode(), [23])
    assert await catalog.success_rate(shelf, sold) == Decimal("0.85")
    assert await catalog.success_rate(shelf, curated) is None
    await shelf.execute(counts.encode(), [22])
    assert await catalog.success_rate(shelf, sold) is None
    await shelf.execute((counts + ", starts_at = now() - interval '31 days'").encode(), [23])
    assert await catalog.success_rate(shelf, sold) is None


async def test_a_model_ten_times_dearer_than_a_recommended_one_is_warned_of(shelf: AsyncConnection[Any]) -> None:
    """The warning names the cheapest recommended model of the same kind that costs anything."""
    cheap, near, dear = "openai/gpt-5-nano", "openai/gpt-5-mini", "openai/gpt-5-pro"
    await catalog.set_flags(shelf, [row.id for row in await found(shelf, curated=True)], curated=False)
    await catalog.set_flags(shelf, [cheap, near], curated=True)
    owner = await creator(shelf)

    async def warned(model: str, **changes: str) -> list[str]:
        draft = drafts.read(content(model=model, price_usdc="9", max_output_tokens=256, **changes))
        published = await publishing.publish(shelf, owner.id, draft)
        return [line for line in published.warnings if "ten times" in line]

    assert await warned(near) == []
    (line,) = await warned(dear)
    assert line.startswith(
        f"{dear} costs at least ten times as much as {cheap}, the cheapest model that is recommended"
    )
    await catalog.set_flags(shelf, [cheap], curated=False)
    (line,) = await warned(dear)
    assert near in line
    await catalog.set_flags(shelf, [near], curated=False)
    assert await warned(dear) == []


async def test_a_prompt_is_published_as_what_its_model_sells_as(shelf: AsyncConnection[Any]) -> None:
    """What the filter finds can be published so; what takes pictures is not hidden by it."""
    owner = await creator(shelf)
    for modality in ("text", "json", "image"):
        rows = await found(shelf, sells_as=modality)
        model = min(rows, key=lambda row: row.output_usd or 0).id
        draft = drafts.read(content(model=model, modality=modality, max_output_tokens=16, price_usdc="1"))
        assert (await publishing.publish(shelf, owner.id, draft)).is_new
    assert "anthropic/claude-sonnet-5" in [row.id for row in await found(shelf, sells_as="text", provider="anthropic")]


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
