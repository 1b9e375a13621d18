"""Cards of provider keys, the log of their changes and uses, and what an old key is told of."""

from decimal import Decimal

import pytest

from core import db
from core.accounts import key_cards, key_log, provider_keys
from core.accounts.key_cards import KeyCard
from core.executions import advice, steps
from core.notices import messages
from core.notices import rules as notice_rules
from core.providers import errors as provider_errors
from core.providers import registry as providers
from core.providers.registry import ANTHROPIC, OPENROUTER
from core.secrets.private import Private
from tests import orders, shops
from tests.shops import Shop


@pytest.fixture
async def shop(pool: db.Pool, practice_openrouter: str) -> Shop:
    return await shops.open_shop(pool)


async def card(pool: db.Pool, shop: Shop) -> KeyCard:
    """OpenRouter's card, as its creator sees it."""
    async with db.acting_for(pool, shop.account.id) as conn:
        found = await key_cards.key_card(conn, shop.account.id, OPENROUTER)
    assert found is not None
    return found


async def log(pool: db.Pool, shop: Shop, reader: Shop | None = None) -> key_log.KeyLog:
    """The log of a shop's OpenRouter keys, as its creator or another one sees it."""
    async with db.acting_for(pool, (reader or shop).account.id) as conn:
        return await key_log.key_log(conn, shop.account.id, OPENROUTER)


async def test_a_card_says_how_the_key_stands(pool: db.Pool, shop: Shop) -> None:
    """What is sold follows the key; a spent one names the page where credit is bought; every change is logged.

    A new key that works is the same card with another label, also for what the operator or the provider did.
    """
    sound = await card(pool, shop)
    assert (sound.health, sound.advice, sound.products, sound.sold) == ("sound", None, ("haiku",), ("haiku",))
    assert sound.state
    assert (sound.last_used_at, sound.state.limit_usd, sound.state.limit_remaining_usd) == (None, None, None)

    await shop.openrouter(credits="0")
    await provider_keys.set_key(pool, shop.account.id, Private(shop.key))
    spent = await card(pool, shop)
    assert (spent.health, spent.products, spent.sold) == ("spent", ("haiku",), ())
    assert spent.state
    assert (spent.state.limit_usd, spent.state.limit_remaining_usd) == (Decimal(0), Decimal(0))
    assert str(OPENROUTER.credit_url) in str(spent.advice)

    async with pool.connection() as conn:
        await provider_keys.enable_key(conn, shop.account.id, False, actor="operator")
        await provider_keys.reject_key(conn, shop.account.id, Private(shop.key), OPENROUTER)
        await provider_keys.reject_key(conn, shop.account.id, Private(shop.key), OPENROUTER)
    async with db.acting_for(pool, shop.account.id) as conn:
        await provider_keys.delete_key(conn, shop.account.id)
        await provider_keys.delete_key(conn, shop.account.id)
    missing = await card(pool, shop)
    assert (missing.health, missing.state, missing.sold) == ("missing", None, ())
    assert "https://openrouter.ai/keys" in str(missing.advice)

    changes = (await log(pool, shop)).changes
    assert [(row.event, row.actor) for row in changes] == [
        ("deleted", "creator"),
        ("rejected", "provider"),
        ("disabled", "operator"),
        ("set", "creator"),
        ("set", "creator"),
    ]
    assert {row.label for row in changes} == {sound.state.label}
    async with db.acting_for(pool, shop.account.id) as conn:
        listed = {one.provider.name: one.health for one in await key_cards.key_cards(conn, shop.account.id)}
    assert listed == dict.fromkeys(providers.configured(), "missing")
    assert (await log(pool, shop, await shops.open_shop(pool))).changes == []


async def test_calls_are_counted_by_day_and_key(pool: db.Pool, shop: Shop) -> None:
    """Each call that opens the key counts once; after a change of the key, the new one counts anew."""
    sold, owner = await shop.version(pool), await orders.hire(pool)

    async def call(times: int) -> None:
        taken = await orders.begin(pool, owner, await orders.queue(pool, sold, times))
        async with pool.connection() as conn:
            assert len(await steps.decrypt(conn, taken)) == times

    await call(2)
    await call(1)
    await provider_keys.set_key(pool, shop.account.id, Private(f"{shop.key}-2"))
    await call(1)

    uses = (await log(pool, shop)).uses
    assert [row.calls for row in uses] == [1, 3]
    assert len({row.label for row in uses}) == 2
    assert (await card(pool, shop)).last_used_at == uses[0].last_used_at


async def test_an_old_key_is_told_of_once(pool: db.Pool, shop: Shop) -> None:
    """After 90 days, unless it is rejected or nothing is sold on it; a new key has its own 90 days."""

    async def told(days: int) -> list[object]:
        async with pool.connection() as conn:
            await conn.execute("UPDATE provider_keys SET created_at = now() - make_interval(days => %s)", [days])
        for _ in range(2):
            async with pool.connection() as conn:
                await notice_rules.record_findings(conn)
                await conn.execute("UPDATE notices SET found_at = found_at - interval '8 days'")
        rows = await shops.rows(pool, "SELECT facts FROM notices WHERE rule = 'key_old' ORDER BY found_at")
        return [row.facts for row in rows]

    assert await told(89) == []
    (facts,) = await told(91)
    message = messages.message_for("key_old", "ada", None, facts, to_operator=False)  # type: ignore[arg-type]
    assert (message.title, str(OPENROUTER.credit_url) in message.body) == (
        "@ada: your OpenRouter key is 90 days old",
        True,
    )
    await provider_keys.set_key(pool, shop.account.id, Private(f"{shop.key}-2"))
    assert len(await told(92)) == 2
    await shops.rows(pool, "UPDATE provider_keys SET rejected_at = now() RETURNING 1")
    assert len(await told(93)) == 2


@pytest.mark.parametrize("detail", sorted(provider_errors.ABOUT_CREDIT))
def test_advice_about_credit_names_the_page(detail: str) -> None:
    """For every 402 and every limit of a key or budget, at each provider that failed so."""
    sentence = str(advice.advice_for(detail, "creator", [ANTHROPIC.name, OPENROUTER.name]))

    assert [page in sentence for page in (str(ANTHROPIC.credit_url), str(OPENROUTER.credit_url))] == [True, True]


def test_other_advice_names_no_page() -> None:
    """All failures of a 402 are about credit, and a rejected key is not."""
    assert {name for name in provider_errors.PROVIDER_ERRORS if "_402" in name} <= provider_errors.ABOUT_CREDIT
    assert "https://" not in str(advice.advice_for("provider_401", "creator", [OPENROUTER.name]))
