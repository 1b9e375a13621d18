"""Repricing of resources whose model became dearer, cheaper, lost or unsellable."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core import db
from core.catalog import changes as catalog_changes
from core.catalog import model_list
from core.catalog import search as catalog
from core.catalog import sync as catalog_sync
from core.failures import InvalidInput, Unavailable
from core.resources import call_cost, publishing, readiness, repricing, versions
from core.resources import draft as drafts
from core.resources.repricing import reprice
from core.settings import settings
from tests.core.resources.test_versions import for_sale
from tests.model_lists import listed, listing
from tests.selling import content, creator, publish

CHEAP = {"prompt": "0.00000001", "completion": "0.0000001"}
# The template and the shortest answer cost 0.05 dollars: more than the 0.01 that `haiku` sells for.
RUINOUS = {"prompt": "0.00000001", "completion": "0.003"}


async def sync(
    conn: db.Connection, fields: Mapping[str, Any] = MappingProxyType({}), **pricing: Any
) -> catalog_sync.Synced:
    """Sync a list with this price and these fields for the model of these tests, and another model."""
    # Each sync runs in a separate transaction and needs a separate time.
    await conn.execute("UPDATE model_history SET at = at - interval '1 day'")
    row = listed("test/small", pricing=CHEAP | pricing, top_provider={"max_completion_tokens": 16_000}, **fields)
    return await catalog_sync.apply(conn, reprice, *model_list.parse(listing(row, listed("a/b"))), accept_loss=True)


def means(synced: catalog_sync.Synced, handle: str) -> str:
    """The sync's report about the creator's only resource."""
    (touched,) = [one for one in synced.news.touched if one.handle == handle]
    return touched.means


async def test_a_dearer_model_reserves_more(conn: db.Connection) -> None:
    """After the sync a call reserves today's worst case; a creator whose cap is below it sells nothing."""
    owner, before = await for_sale(conn)
    synced = await sync(conn, completion="0.0001")

    after = await versions.version(conn, before.version_id)
    assert after.worst_cost_usd - before.worst_cost_usd > Decimal("0.40")
    assert after == (await readiness.resolve(conn, owner.handle, "haiku"))
    assert means(synced, owner.handle) == "a call can cost more than it sells for"
    assert await readiness.readiness(conn, after)

    await conn.execute("UPDATE accounts SET daily_spend_cap_usd = 0.4 WHERE id = %s", [owner.id])
    with pytest.raises(Unavailable, match="spend_cap"):
        await readiness.readiness(conn, after)


async def test_a_certain_loss_is_not_sold_until_somebody_says_so(conn: db.Connection) -> None:
    """A version not publishable at today's price is not sold until the price falls or its creator agrees."""
    owner, version = await for_sale(conn)
    assert means(await sync(conn, **RUINOUS), owner.handle).startswith("not sold until its price is raised")
    with pytest.raises(Unavailable, match="certain_loss"):
        await readiness.readiness(conn, version)
    _, ready = await readiness.on_sale(conn, owner.handle, "haiku")
    assert isinstance(ready, Unavailable)

    assert means(await sync(conn), owner.handle) == ""
    assert await readiness.readiness(conn, version)

    await sync(conn, **RUINOUS)
    with pytest.raises(InvalidInput, match="invalid_input"):
        await publish(conn, owner)
    agreed = await publishing.publish(conn, owner.id, drafts.read(content()), allow_loss=True)
    assert agreed.is_new
    assert await readiness.readiness(conn, await versions.version(conn, agreed.version_id))
    assert not (await publishing.publish(conn, owner.id, drafts.read(content()), allow_loss=True)).is_new
    assert "agreed to" in means(await sync(conn, **RUINOUS | {"prompt": "0.00000002"}), owner.handle)


async def test_versions_from_before_agreement_was_recorded_are_sold_on(conn: db.Connection) -> None:
    """It is unknown whether their creators agreed, so they are reported and stay on sale."""
    owner, version = await for_sale(conn)
    await conn.execute("UPDATE resource_versions SET allows_loss = NULL WHERE id = %s", [version.version_id])

    assert means(await sync(conn, **RUINOUS), owner.handle).startswith("still sold")
    assert await readiness.readiness(conn, version)


async def test_what_is_sold_on_a_model_that_is_lost_or_unsellable_is_named(conn: db.Connection) -> None:
    """Lost: sold for two more days. Unknown price: not sold until the price is known again."""
    owner, version = await for_sale(conn)
    await sync(conn)
    await conn.execute("UPDATE model_history SET at = at - interval '1 day'")
    lost = await catalog_sync.apply(conn, reprice, *model_list.parse(listing(listed("a/b"))), accept_loss=True)
    assert means(lost, owner.handle).startswith("sold until 20")
    assert await readiness.readiness(conn, version)

    assert means(await sync(conn, prompt="-1"), owner.handle) == "not sold: its model is unknown_price"
    with pytest.raises(Unavailable, match="model_withdrawn"):
        await readiness.readiness(conn, version)
    await sync(conn)
    assert await readiness.readiness(conn, version)


async def test_a_fee_that_moves_to_another_key_is_a_new_price(conn: db.Connection) -> None:
    """Real lists moved the fee of search models from `request` to `web_search`; what a call costs follows."""
    _, version = await for_sale(conn)
    search = {"supported_parameters": ["web_search_options"]}
    await sync(conn, search, request="0.005")
    before = (await versions.version(conn, version.version_id)).worst_cost_usd
    news = (await sync(conn, search, web_search="0.005")).news

    (change,) = [change for change in news.changes if change.model_id == "test/small"]
    assert change.events == ("repriced",)
    assert (change.before.split(", ")[2], change.now.split(", ")[2]) == (
        "$0.005 a call; web_search -",
        "$0.005 a search; web_search $0.005",
    )
    after = (await versions.version(conn, version.version_id)).worst_cost_usd
    assert after - before == Decimal("0.005") * (settings().search_limit - 1)


async def test_prices_that_nobody_pays_here_are_news_too(conn: db.Connection) -> None:
    """Each listed price has its history, and a tier has one: also prices that our calls are never charged by."""
    await for_sale(conn)
    tier = {"min_prompt_tokens": 4_000, "completion": "0.0000002", "audio": "0.002"}
    lists: list[dict[str, Any]] = [{}, {"audio": "0.001"}, {"audio": "0.0010"}, {"audio": "0.001", "overrides": [tier]}]
    changes = [
        [change for change in (await sync(conn, **pricing)).news.changes if change.model_id == "test/small"]
        for pricing in lists
    ]

    assert [change.events for (change,) in (changes[1], changes[3])] == [("repriced",)] * 2
    assert changes[2] == []
    assert (changes[1][0].before[-7:], changes[1][0].now[-12:]) == ("audio -", "audio $0.001")
    assert changes[3][0].now.endswith("above 4000 tokens $0.01 in and $0.2 out")
    past = await catalog.history(conn, "test/small")
    assert [state.prices.get("audio") for state in past[:3]] == ["0.001", "0.001", None]
    assert past[0].price_tiers[0]["prices"] == {"prompt": "1E-8", "completion": "2E-7", "audio": "0.002"}


async def test_a_model_that_goes_on_under_another_id(conn: db.Connection) -> None:
    """The canonical slug outlives an id: news, creator and publisher hear the new one, and never of another variant."""
    owner, _ = await for_sale(conn)
    slug = {"canonical_slug": "test/small-2026"}
    await sync(conn, slug)
    await conn.execute("UPDATE model_history SET at = at - interval '1 day'")
    ids = ("test/mini:batch", "test/mini:free", "test/mini:thinking", "test/tiny")
    others = [listed(model_id, pricing=CHEAP, **slug) for model_id in ids]
    rows = listing(*others, listed("test/other", canonical_slug="test/other"), listed("a/b"))
    renamed = await catalog_sync.apply(conn, reprice, *model_list.parse(rows), accept_loss=True)

    (change,) = renamed.news.of("renamed")
    assert (change.model_id, change.successor, change.now) == ("test/small", "test/tiny", "not listed; now test/tiny")
    assert means(renamed, owner.handle).endswith("it is test/tiny now: publish on that")
    draft = drafts.read(content(slug="new"))
    published = await publishing.publish(conn, owner.id, draft)
    assert "test/small is not listed any more; its name is test/tiny now, so publish on that" in published.warnings
    shown = await catalog.show(conn, "test/small")
    assert shown
    assert shown.successor == "test/tiny"
    await conn.execute("UPDATE models SET missing_since = now() - interval '3 days' WHERE id = 'test/small'")
    with pytest.raises(InvalidInput) as caught:
        await publishing.publish(conn, owner.id, drafts.read(content(slug="newer")))
    assert caught.value.fields["model"].endswith("its name is test/tiny now")

    await conn.execute("UPDATE model_history SET at = at - interval '1 day'")
    both = await catalog_sync.apply(
        conn,
        reprice,
        *model_list.parse(listing(*others, listed("test/small", **slug), listed("a/b"))),
        accept_loss=True,
    )
    assert both.news.of("renamed") == []
    assert [change.model_id for change in both.news.of("returned")] == ["test/small"]


async def test_archived_resources_are_repriced_and_not_named(conn: db.Connection) -> None:
    """They may be restored, and must not be sold at a loss then."""
    owner, version = await for_sale(conn)
    await versions.archive(conn, owner.id, "haiku")
    assert [one for one in (await sync(conn, **RUINOUS)).news.touched if one.handle == owner.handle] == []

    await versions.restore(conn, owner.id, "haiku")
    with pytest.raises(Unavailable, match="certain_loss"):
        await readiness.readiness(conn, version)


async def test_a_template_that_nobody_can_open_does_not_stop_a_sync(conn: db.Connection) -> None:
    """Its resource is not sold, and the others are repriced."""
    _, broken = await for_sale(conn)
    _, sound = await for_sale(conn)
    await conn.execute("UPDATE resource_versions SET sealed_template = 'x' WHERE id = %s", [broken.version_id])

    await sync(conn, completion="0.0001")

    assert (await versions.version(conn, broken.version_id)).worst_cost_usd == broken.worst_cost_usd
    assert (await versions.version(conn, sound.version_id)).worst_cost_usd > sound.worst_cost_usd


async def test_the_news_begin_with_what_is_on_sale(conn: db.Connection) -> None:
    """A reader sees first which sales have a problem, and what a call costs now."""
    owner, _ = await for_sale(conn)
    news = (await sync(conn, **RUINOUS)).news

    path = f"/@{owner.handle}/haiku"
    first = next(row for row in catalog_changes.table(news) if row["was"].startswith(path))
    assert (first["what"], first["model"], first["was"]) == ("on sale", "test/small", f"{path} at 0.01 USDC")
    assert first["is"].startswith("costs up to $12.")
    assert catalog_changes.headline(news).startswith("- `/@")
    mine = catalog_changes.News(news.changes, tuple(one for one in news.touched if one.handle == owner.handle))
    assert f"- `{path}` on `test/small`, for 0.01 USDC: **not sold until" in catalog_changes.headline(mine)


def test_a_long_story_is_cut() -> None:
    """A page shows a limited number of changes, and how many it omits."""
    sold = [catalog_changes.AffectedResource("ada", f"p{n}", "m", "0.01", "1", "trouble") for n in range(300)]

    assert catalog_changes.table(catalog_changes.News((), tuple(sold)))[200]["model"] == "100 more"
    assert catalog_changes.headline(catalog_changes.News((), tuple(sold))).splitlines()[-1] == "- and 280 more"


@pytest.mark.usefixtures("own_database")
async def test_a_publisher_and_a_sync_take_turns() -> None:
    """A version is published at the old price and repriced by the sync, or is published at the new price."""
    async with db.pool() as pool, pool.connection() as conn, pool.connection() as other:
        owner = await creator(conn)
        await conn.commit()
        await publish(conn, owner)
        await other.execute("SET LOCAL lock_timeout = 100")
        with pytest.raises(db.UNREACHABLE):
            await catalog_sync.sql.take_turns(other)
        await other.rollback()


amounts = st.decimals(min_value=0, max_value="0.01", places=9).map(lambda price: format(price, "f"))


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=amounts, completion=amounts, template=st.text("ab {}/tpic", min_size=1), tokens=st.integers(16, 8_000))
async def test_repricing_says_what_publishing_would(
    conn: db.Connection, prompt: str, completion: str, template: str, tokens: int
) -> None:
    """A repriced version costs the same, or is refused the same, as if it were published now."""
    owner, _ = await for_sale(conn)
    await sync(conn)
    changes = {"template": f"{template}{{topic}}{{/topic}}", "max_output_tokens": tokens, "slug": "other"}
    published = await publishing.publish(conn, owner.id, drafts.read(content(**changes)), allow_loss=True)
    await sync(conn, prompt=prompt, completion=completion)

    await repricing.reprice(conn, ["test/small"])

    model = await catalog.find(conn, "test/small")
    assert model is not None
    wanted = drafts.read(content(**changes))
    assert (await versions.version(conn, published.version_id)).worst_cost_usd == call_cost.worst_cost_usd(
        wanted, model
    )
    (row,) = [row for row in await catalog.versions_on(conn, ["test/small"]) if row.slug == "other"]
    assert row.is_certain_loss == call_cost.is_certain_loss(wanted, model)
    await conn.rollback()
