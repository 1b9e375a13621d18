"""Estimates: what a draft costs on its model and on cheaper ones, and the price for a margin."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg import AsyncConnection

from core.db.queries.estimate import CallsByTokenizerRow
from core.failures import InvalidInput
from core.resources import draft as drafts
from core.resources import estimates, token_ratios
from tests import histories
from tests.selling import add_model, content, creator

DEAR = "test/dear"
PRICES = {"prompt_usd": Decimal("0.000003"), "completion_usd": Decimal("0.000015")}


@pytest.fixture
async def shelf(conn: AsyncConnection[Any]) -> AsyncConnection[Any]:
    """One dear model, six cheaper ones of which one is recommended, one too short, and a dearer one."""
    await conn.execute("UPDATE models SET disabled = true")
    now = datetime.now(UTC)
    await add_model(conn, id=DEAR, **PRICES)
    await add_model(conn, id="test/dearer", prompt_usd=Decimal("0.00001"), completion_usd=Decimal("0.0001"))
    for age in range(6):
        await add_model(conn, id=f"test/cheap{age}", released_at=now - timedelta(days=age), curated=age == 5)
    await add_model(conn, id="test/short", released_at=now, max_completion_tokens=16, curated=True)
    return conn


def _draft(**changes: Any) -> drafts.Draft:
    return drafts.read(content(model=DEAR, max_output_tokens=1000, **changes))


async def test_costs_and_the_best_cheaper_models(shelf: AsyncConnection[Any]) -> None:
    """Least, typical and worst are in order; cheaper ones can serve the draft, recommended first, then the newest."""
    owner = await creator(shelf)
    await shelf.execute("UPDATE models SET disabled = true WHERE id = 'test/small'")
    done = await estimates.estimate(shelf, owner.id, _draft(), margin=Decimal("0.5"))

    assert [cost.model_id for cost in done.cheaper] == [f"test/cheap{age}" for age in (5, 0, 1, 2, 3)]
    own = done.on_its_model
    assert (own.model_id, done.usual.basis) == (DEAR, "estimate")
    assert 0 < own.least_usd < own.typical_usd < own.worst_usd
    assert all(cost.typical_usd < own.typical_usd for cost in done.cheaper)
    assert own.price_atomic is not None
    # At this price half is left, and at a millionth less it is not.
    assert own.typical_usd.scaleb(6) * 2 <= own.price_atomic < own.typical_usd.scaleb(6) * 2 + 1
    assert {cost.price_atomic for cost in done.cheaper} == {1000}


async def test_usage_says_what_is_typical(shelf: AsyncConnection[Any]) -> None:
    """The tokens of answered calls replace the rule of thumb; failures and a few calls do not."""
    sold = await histories.publish(shelf)
    for calls in range(5):
        done = await estimates.estimate(shelf, sold.account_id, _draft(slug=sold.slug))
        assert (done.usual.basis, done.usual.calls) == ("estimate", 0), calls
        await histories.sell(shelf, sold, datetime.now(UTC), histories.Ending(tokens=70), paid=False)
        await histories.sell(shelf, sold, datetime.now(UTC), histories.FAILED, paid=False)
    done = await estimates.estimate(shelf, sold.account_id, _draft(slug=sold.slug))

    assert (done.usual.basis, done.usual.calls) == ("usage", 5)
    spent = done.usual.input_tokens * PRICES["prompt_usd"] + done.usual.output_tokens * PRICES["completion_usd"]
    assert done.on_its_model.typical_usd == spent


async def test_characters_of_logged_calls_say_what_a_token_is(shelf: AsyncConnection[Any]) -> None:
    """Without a history of its own, an estimate has the ratio of the model's tokenizer and says its error."""
    sold = await histories.publish(shelf)
    await shelf.execute("UPDATE models SET raw = %s::jsonb", ['{"architecture": {"tokenizer": "GPT"}}'])

    async def usual() -> estimates.Usual:
        return (await estimates.estimate(shelf, sold.account_id, _draft(slug="other"))).usual

    async def sell() -> None:
        await histories.sell(shelf, sold, datetime.now(UTC), histories.Ending(tokens=100), paid=False)
        await shelf.execute("UPDATE sends SET latin_characters = 200, other_characters = 0")

    before = await usual()
    for _ in range(token_ratios.LEAST_CALLS - 1):
        await sell()
    assert await usual() == before
    await sell()
    learned = await usual()
    await shelf.execute("UPDATE models SET raw = %s::jsonb WHERE id = %s", ['{"architecture": {}}', DEAR])
    unlisted = await usual()

    assert (learned.basis, learned.calls, learned.error_calls) == ("estimate", 0, token_ratios.LEAST_CALLS)
    # Two characters a token instead of four.
    assert abs(learned.input_tokens - 2 * before.input_tokens) <= 1
    # An answer has 100 tokens at ten times the price of the prompt; half of max_output_tokens was estimated.
    assert learned.error == round((Decimal(sold.max_output_tokens) / 2 - 100) * 10 / 1100, 2)
    assert unlisted == before


def test_scripts_have_ratios_of_their_own() -> None:
    """Latin is learned from prompts of Latin, the rest from prompts that are mostly other; nonsense is bounded."""

    def calls(latin: int, other: int, tokens: int, output: int = 50) -> list[CallsByTokenizerRow]:
        price = Decimal("0.000001")
        return [CallsByTokenizerRow(latin, other, tokens, output, 100, price, price, Decimal(0))] * 20

    both = token_ratios.learn(calls(300, 0, 100) + calls(30, 100, 210))
    assert (both.latin, both.other, both.error, both.calls) == (3, Decimal("0.5"), 0, 40)
    assert both.tokens_of("abc" * 10 + "海" * 5) == 20
    assert token_ratios.learn(calls(300, 0, 1)).latin == 8
    assert token_ratios.learn(calls(1, 0, 300)).latin == Decimal("0.25")
    assert token_ratios.learn(calls(300, 0, 100, output=0)).error == Decimal("0.5")
    assert token_ratios.learn([]) == token_ratios.TokenRatios()


async def test_pictures_and_files_are_in_an_estimate(shelf: AsyncConnection[Any]) -> None:
    """By a rule of thumb, and with the price of a picture; only models that read them are named."""
    owner = await creator(shelf)
    reader = {"input_modalities": ["text", "image", "file"], "prices": {"image": Decimal("0.01")}}
    await add_model(shelf, id=DEAR, **PRICES, **reader)
    await add_model(shelf, id="test/cheap3", input_modalities=["text", "image", "file"])
    parameters = [{"name": "topic"}, {"name": "photo", "type": "image"}, {"name": "paper", "type": "file"}]
    plain = await estimates.estimate(shelf, owner.id, _draft())
    done = await estimates.estimate(shelf, owner.id, _draft(parameters=parameters))

    assert done.usual.input_tokens == plain.usual.input_tokens + 6_000
    assert done.on_its_model.typical_usd > Decimal("0.01") + 6_000 * PRICES["prompt_usd"]
    assert [cost.model_id for cost in done.cheaper] == ["test/cheap3"]


@pytest.mark.usefixtures("credit")
async def test_a_usual_call_costs_all_that_is_charged(shelf: AsyncConnection[Any]) -> None:
    """Searches, the tier of a long prompt, credit and a shield are in it; the worst is that of the dearest fallback."""
    owner = await creator(shelf)

    async def cost(**changes: Any) -> estimates.Estimate:
        return await estimates.estimate(shelf, owner.id, _draft(**changes))

    plain = await cost()
    tokens = plain.usual.input_tokens * PRICES["prompt_usd"] + plain.usual.output_tokens * PRICES["completion_usd"]
    shielded = await cost(prompt_shield="watch")
    covered = await cost(fallbacks=["test/dearer"])
    with pytest.raises(InvalidInput) as refused:
        await cost(fallbacks=["test/dearer", "no/such"])
    long = {"above": 2, "prompt_usd": Decimal(1), "completion_usd": Decimal(2), "request_usd": Decimal(0)}
    await add_model(shelf, id=DEAR, **PRICES, search_usd=Decimal("0.01"))
    searching = await cost()
    await add_model(shelf, id=DEAR, **PRICES, price_tiers=[long | {"image_output_usd": None}])
    tiered = await cost()

    # Half of the 30 searches that are counted at most.
    assert plain.on_its_model.typical_usd == tokens * Decimal("1.055")
    assert searching.on_its_model.typical_usd == (tokens + Decimal("0.15")) * Decimal("1.055")
    assert tiered.on_its_model.typical_usd > plain.usual.input_tokens
    assert shielded.usual.input_tokens > plain.usual.input_tokens + 50
    assert covered.on_its_model.worst_usd > 3 * plain.on_its_model.worst_usd
    assert covered.on_its_model.typical_usd == plain.on_its_model.typical_usd
    assert list(refused.value.fields) == ["fallbacks.1"]


@pytest.mark.parametrize("margin", ["1", "-0.1", "NaN", "2", "0.9999", f"0.{'9' * 5000}"])
async def test_a_margin_is_a_share_of_the_price(shelf: AsyncConnection[Any], margin: str) -> None:
    """No price leaves all of itself."""
    owner = await creator(shelf)
    with pytest.raises(InvalidInput) as refused:
        await estimates.estimate(shelf, owner.id, _draft(), margin=Decimal(margin))

    assert list(refused.value.fields) == ["margin"]
