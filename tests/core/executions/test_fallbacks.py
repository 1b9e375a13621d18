"""Fallbacks: which model is asked after which failure, and that no list of them costs more than was reserved."""

from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from uuid import UUID

import pytest

from core import db
from core.accounts import provider_keys
from core.executions import sends, steps
from core.executions import views as execution_views
from core.failures import ExecutionFailed, InvalidInput
from core.providers.errors import PROVIDER_ERRORS, UNAVAILABLE
from core.providers.registry import OPENROUTER
from core.providers.usage import Usage
from core.resources import readiness, repricing, versions
from core.secrets.private import Private
from tests import orders, releases, selling, shops

FIRST, SECOND, THIRD = "openai/gpt-5-mini", "openai/gpt-5-nano", "openai/gpt-4.1-mini"
CLAUDE = "anthropic:claude-sonnet-4-5"


class Market(releases.Market):
    """A creator who sells on three models, with a key of their own at the practice provider."""

    async def sold(self, *fallbacks: str, **changes: object) -> versions.Version:
        return await super().sold(model=FIRST, fallbacks=fallbacks, **changes)

    async def sends(self, execution_id: UUID) -> list[tuple[str, str]]:
        """The model and the outcome of each send."""
        query = "SELECT model_id, outcome FROM sends WHERE execution_id = %(id)s ORDER BY number"
        return [tuple(row) for row in await shops.rows(self.pool, query, id=execution_id)]


@pytest.fixture
async def market(own_database: str, practice_openrouter: str) -> AsyncIterator[Market]:
    async with db.pool() as pool:
        async with pool.connection() as conn:
            owner = await selling.creator(conn)
            for model_id in (FIRST, SECOND, THIRD):
                await selling.add_model(conn, id=model_id)
        key = f"sk-or-v1-practice-{owner.handle}"
        await provider_keys.set_key(pool, owner.id, Private(key), OPENROUTER)
        yield Market(pool, owner, shops.Shop(owner, "", key, "", ""))


@pytest.mark.parametrize(
    ("faults", "sent"),
    [
        ((), [(FIRST, "succeeded")]),
        (("status:503",), [(FIRST, "provider_503"), (SECOND, "succeeded")]),
        (("status:429;retry_after=50",), [(FIRST, "provider_429"), (SECOND, "succeeded")]),
        (("status:404;availability=no_endpoints",), [(FIRST, "provider_404"), (SECOND, "succeeded")]),
        (
            ("status:400;availability=model_not_found", "status:502"),
            [(FIRST, "provider_400_gone"), (SECOND, "provider_502"), (THIRD, "succeeded")],
        ),
        (("status:400",), [(FIRST, "provider_400")]),
        (("status:402",), [(FIRST, "provider_402")]),
        (("status:500",), [(FIRST, "provider_500"), (FIRST, "succeeded")]),
        (("status:504",), [(FIRST, "provider_504"), (FIRST, "succeeded")]),
        (("status:503", "cut"), [(FIRST, "provider_503"), (SECOND, "provider_cut"), (SECOND, "succeeded")]),
        (("cut", "status:503"), [(FIRST, "provider_cut"), (FIRST, "provider_503")]),
        (("cut", "cut", "cut"), [(FIRST, "provider_cut"), (FIRST, "provider_cut")]),
        (
            ("status:404*3",),
            [(FIRST, "provider_404"), (SECOND, "provider_404"), (THIRD, "provider_404")],
        ),
        (
            ("status:503*9",),
            [(FIRST, "provider_503"), (SECOND, "provider_503"), (THIRD, "provider_503"), (THIRD, "provider_503")],
        ),
    ],
)
async def test_only_an_unavailable_model_is_followed(
    market: Market, faults: tuple[str, ...], sent: list[tuple[str, str]]
) -> None:
    """After an uncertain charge the same model is asked with the same bytes; a repetition is bounded as ever."""
    sold = await market.sold(SECOND, THIRD)
    execution_id = await market.call(sold, *faults)

    assert await market.sends(execution_id) == sent
    ((state, served),) = await shops.rows(
        market.pool,
        "SELECT state, model_served FROM executions JOIN usage_log ON usage_log.execution_id = executions.id"
        " WHERE executions.id = %(id)s",
        id=execution_id,
    )
    model, outcome = sent[-1]
    async with market.pool.connection() as conn:
        row = db.required(await execution_views.read(conn, execution_id))
    if outcome == "succeeded":
        assert (state, served, row.model_served) == ("succeeded", model, model)
    else:
        assert (state, row.model_served) == ("failed", None)
    asked = (await market.shop.sends())[-1]["body"]
    price = selling.model(id=model).completion_usd
    assert asked["model"] == model
    assert Decimal(str(asked["provider"]["max_price"]["completion"])) == db.required(price) * 1_000_000


async def test_a_takeover_knows_what_was_tried(market: Market) -> None:
    """Where the last attempt stopped, the next one goes on; after an uncertain charge it moves to no other model."""
    sold = await market.sold(SECOND)
    worker = await orders.hire(market.pool)
    ids = [await orders.pay(market.pool, sold, worker) for _ in range(2)]
    for order, outcomes, asked in zip(
        await orders.begin(market.pool, worker, ids),
        (["provider_503", "provider_500"], ["provider_504", "provider_503"]),
        ([FIRST, SECOND, SECOND], [FIRST, FIRST]),
        strict=True,
    ):
        async with market.pool.connection() as conn:
            (prepared,) = await steps.substitute(conn, await steps.decrypt(conn, [order]))
        about = {"account_id": market.owner.id, "attempt_id": order.attempt_id, "worst_cost_usd": sold.worst_cost_usd}
        with suppress(ExecutionFailed):
            for outcome in (*outcomes, "succeeded"):
                sent = await sends.begin(market.pool, prepared.prompt.reveal(), **about)
                async with market.pool.connection() as conn:
                    await sends.finish(conn, [sends.Ended(sent, outcome, Usage())])
        assert [model for model, _ in await market.sends(order.id)] == asked


def test_an_unavailable_model_has_certainly_charged_nothing() -> None:
    """Otherwise an answer could be paid on two models."""
    assert {PROVIDER_ERRORS[name].charged for name in UNAVAILABLE} == {"no"}


async def test_the_dearest_of_the_list_is_reserved(market: Market) -> None:
    """Its price counts from publishing on, and when it changes; one that nobody serves now is not asked."""
    alone, listed = await market.sold(), await market.sold(SECOND, THIRD)
    assert alone.worst_cost_usd < listed.worst_cost_usd
    async with market.pool.connection() as conn:
        own = await selling.publish(conn, market.owner, slug="third", model=THIRD)
        assert own.worst_cost_usd == listed.worst_cost_usd

        await conn.execute("UPDATE models SET completion_usd = completion_usd * 9 WHERE id = %s", [THIRD])
        await repricing.reprice(conn, [THIRD])
        after = await versions.version(conn, listed.version_id)
        assert after.worst_cost_usd > listed.worst_cost_usd
        assert after.alternatives[1].prices.completion_usd == 9 * listed.alternatives[1].prices.completion_usd

        await conn.execute("UPDATE models SET disabled = true WHERE id = %s", [SECOND])
        now = await readiness.resolve(conn, market.owner.handle, "haiku")
    assert [other.model for other in now.alternatives] == [THIRD]
    assert now.fallbacks == (SECOND, THIRD)


async def test_a_list_that_cannot_be_kept_is_refused(market: Market) -> None:
    """Each model that is unknown, behind another key, or unable to serve the draft is named; none is named twice."""
    async with market.pool.connection() as conn:
        await selling.add_model(conn, id=CLAUDE)
        await selling.add_model(conn, id=SECOND, max_completion_tokens=16)
    with pytest.raises(InvalidInput) as caught:
        await market.sold("no/such", CLAUDE, SECOND, THIRD)
    assert list(caught.value.fields) == ["fallbacks.0", "fallbacks.1", "fallbacks.2"]
    async with market.pool.connection() as conn:
        await selling.add_model(conn, id=FIRST, input_modalities=["text", "image"])
    pictured = [{"name": "topic"}, {"name": "photo", "type": "image"}]
    reading: dict[str, object] = {"model": FIRST, "fallbacks": [THIRD], "parameters": pictured}
    with pytest.raises(InvalidInput) as caught:
        await market.sold(THIRD, parameters=pictured)
    assert caught.value.fields == {"fallbacks.0": f"{THIRD} takes no image, only text"}
    for takes, left in ((["text", "image"], [THIRD]), (["text"], [])):
        async with market.pool.connection() as conn:
            await selling.add_model(conn, id=THIRD, input_modalities=["text", "image"])
            sold = await versions.version(conn, (await selling.publish(conn, market.owner, **reading)).version_id)
            await selling.add_model(conn, id=THIRD, input_modalities=takes)
            now = await versions.version(conn, sold.version_id)
        # One that takes pictures no more is left out, like any that cannot be called.
        assert [other.model for other in now.alternatives] == left
    for twice in ((FIRST,), (THIRD, THIRD)):
        with pytest.raises(InvalidInput) as caught:
            await market.sold(*twice)
        assert "twice" in str(caught.value.fields)


async def test_no_fallback_is_sold_at_a_loss_by_accident(market: Market) -> None:
    """If nearly every call on it would cost more than the price, publishing and repricing say so."""
    listed = await market.sold(THIRD)
    async with market.pool.connection() as conn:
        await conn.execute("UPDATE models SET completion_usd = 1 WHERE id = %s", [THIRD])
        await repricing.reprice(conn, [THIRD])
    ((is_loss,),) = await shops.rows(
        market.pool, "SELECT is_certain_loss FROM repriced_versions WHERE version_id = %(id)s", id=listed.version_id
    )
    assert is_loss
    with pytest.raises(InvalidInput) as caught:
        await market.sold(THIRD)
    assert list(caught.value.fields) == ["price_usdc"]
