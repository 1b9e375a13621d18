"""Models that no catalog lists, at prices that the operator entered."""

from decimal import Decimal

import pytest

from core import db
from core.catalog import manual_prices, model_list
from core.catalog import search as catalog
from core.catalog import sync as catalog_sync
from core.failures import InvalidInput, Unavailable
from core.resources import readiness
from core.resources.repricing import reprice
from tests import selling

# Only these tests list models of this provider.
CLAUDE = "anthropic:claude-of-the-price-list"


async def put(conn: db.Connection, model_id: str = CLAUDE, prompt: str = "3", completion: str = "15") -> list[str]:
    """List one model; return each change as its id and events."""
    news = await manual_prices.set_prices(
        conn, reprice, model_id, prompt_usd=Decimal(prompt), completion_usd=Decimal(completion), context_length=200_000
    )
    return [f"{change.model_id} {' '.join(change.events)}" for change in news.changes]


async def later(conn: db.Connection) -> None:
    """Move everything in the price history into the past."""
    await conn.execute("UPDATE model_history SET at = at - interval '1 hour'")


async def test_a_price_per_million_becomes_an_exact_price_per_token(conn: db.Connection) -> None:
    """The price has all its digits, and the model has the parameters that its provider accepts."""
    assert await put(conn, prompt="0.8", completion="4.123456789012345678901") == [f"{CLAUDE} added"]
    listed = await catalog.find(conn, CLAUDE)
    assert listed
    assert (listed.prompt_usd, listed.completion_usd) == (Decimal("8e-7"), Decimal("0.000004123456789012345678901"))
    assert listed.input_modalities == ("text", "image")
    assert (listed.not_sellable, listed.output_modalities, listed.context_length) == (None, ("text",), 200_000)
    assert "temperature" in listed.supported_parameters
    assert "response_format" not in listed.supported_parameters


@pytest.mark.parametrize(
    ("model_id", "prompt", "field"),
    [
        ("claude-sonnet-4-5", "3", "model"),
        ("openai/gpt-5-mini", "3", "model"),
        ("nobody:claude-sonnet-4-5", "3", "provider"),
        ("anthropic:", "3", "model"),
        ("anthropic:claude sonnet", "3", "model"),
        (CLAUDE, "0", "prompt_usd"),
        (CLAUDE, "-1", "prompt_usd"),
        (CLAUDE, "NaN", "prompt_usd"),
        (CLAUDE, "1000000", "prompt_usd"),
        (CLAUDE, "1." + "1" * 50, "model"),
    ],
)
async def test_what_is_no_price_of_another_provider_is_refused(
    conn: db.Connection, model_id: str, prompt: str, field: str
) -> None:
    """A refusal names each field; nothing is listed, and models of other tests are unchanged."""
    before = await catalog.find(conn, model_id)
    with pytest.raises(InvalidInput) as caught:
        await put(conn, model_id, prompt)
    assert list(caught.value.fields) == [field]
    assert await catalog.find(conn, model_id) == before


@pytest.mark.parametrize("tokens", [0, -1, 2**31])
async def test_a_number_of_tokens_is_never_taken_for_unknown(conn: db.Connection, tokens: int) -> None:
    """A limit that cannot be is refused: without one, drafts would fit that do not."""
    with pytest.raises(InvalidInput) as caught:
        await manual_prices.set_prices(
            conn,
            reprice,
            CLAUDE,
            prompt_usd=Decimal(3),
            completion_usd=Decimal(15),
            context_length=tokens,
            max_completion_tokens=tokens,
        )
    assert list(caught.value.fields) == ["context_length", "max_completion_tokens"]


async def test_a_new_price_reprices_what_is_on_sale(conn: db.Connection) -> None:
    """Reservations follow the new price, and a prompt that would lose money on most calls is not sold any more."""
    await put(conn)
    owner = await selling.creator(conn)
    await selling.publish(conn, owner, model=CLAUDE, price_usdc="1")
    before = (await readiness.resolve(conn, owner.handle, "haiku")).worst_cost_usd
    await later(conn)
    assert await put(conn, prompt="6", completion="30") == [f"{CLAUDE} repriced"]
    assert (await readiness.resolve(conn, owner.handle, "haiku")).worst_cost_usd == 2 * before
    await later(conn)
    await put(conn, prompt="900000", completion="900000")
    _, state = await readiness.on_sale(conn, owner.handle, "haiku")
    assert isinstance(state, Unavailable)


async def test_no_list_of_openrouters_touches_it(conn: db.Connection) -> None:
    """A manual model is not missing from OpenRouter's list, counts for no loss, and cannot be changed by that list."""
    await put(conn)
    rows = [{"id": f"test/{number}", "pricing": {"prompt": "1", "completion": "1"}} for number in range(3)]
    forged = {"id": CLAUDE, "pricing": {"prompt": "0", "completion": "0"}}
    models, quarantined = model_list.parse({"data": [*rows, forged]})
    assert [(row.id, row.reason) for row in quarantined] == [(CLAUDE, "not_theirs")]
    await catalog_sync.apply(conn, reprice, models, quarantined, accept_loss=True)
    found = await catalog.find(conn, CLAUDE)
    assert found
    assert (found.missing_since, found.prompt_usd) == (None, Decimal("0.000003"))


async def test_one_row_makes_no_other_absent(conn: db.Connection) -> None:
    """Listing a model by hand is no sync: no other model becomes absent, and the catalog's age is unchanged."""
    await selling.add_model(conn, id="test/kept")
    syncs = await catalog.syncs(conn, 5)
    await put(conn)
    kept = await catalog.find(conn, "test/kept")
    assert kept
    assert kept.missing_since is None
    assert await catalog.syncs(conn, 5) == syncs
