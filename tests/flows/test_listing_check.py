"""The nightly visit: what lists, offer and database say of a product is compared, and a difference becomes a notice."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core import db
from core.notices import rules
from core.notices.messages import message_for
from core.settings import settings
from flows.listing_check import listing_check
from tests import doors, servers, shops
from tests.callers import environment
from tests.shops import Shop


@pytest.fixture
async def shop(surroundings: Path, own_database: str) -> AsyncIterator[Shop]:
    """A creator with three products, one of them in no list, at a door on a database of its own."""
    port = servers.free_port()
    with environment(INSTANT_PUBLIC_URL=f"http://127.0.0.1:{port}"), doors.door(surroundings, port):
        async with db.pool() as pool:
            shop = await shops.open_shop(pool)
            await shop.publish(pool, slug="json", modality="json", answer_schema={"type": "object"}, price_usdc="0.2")
            await shop.publish(pool, slug="secret", listed=False)
            await shop.publish(pool, slug="draft-of-old")
            yield shop


async def visit() -> str:
    """Run the flow; what it says."""
    state = await listing_check(return_state=True)
    return f"{state.name}: {state.message}"


async def causes(pool: db.Pool, shop: Shop) -> dict[str, str]:
    """What the last visit found, by slug."""
    found = await shops.rows(
        pool,
        "SELECT slug, listing_difference ->> 'cause' AS cause FROM resources"
        " WHERE account_id = %(id)s AND listing_difference IS NOT NULL",
        id=shop.account.id,
    )
    return {row.slug: row.cause for row in found}


async def test_a_difference_is_found_told_and_forgotten(shop: Shop) -> None:
    """Products that agree are counted; one whose offer fails is a notice to its creator; then it agrees again."""
    async with db.pool() as pool:
        assert await visit() == "Completed: 4 agree, 0 differ"

        await shops.rows(pool, "UPDATE provider_keys SET enabled = false RETURNING id")
        assert await visit() == "Completed: 4 agree, 0 differ", "what cannot be sold is listed nowhere"
        sealed = await shops.rows(
            pool,
            "WITH old AS (SELECT id, sealed_key FROM provider_keys) UPDATE provider_keys"
            " SET enabled = true, sealed_key = 'unreadable' FROM old WHERE old.id = provider_keys.id"
            " RETURNING old.sealed_key",
        )
        assert await visit() == "Completed: 1 agree, 3 differ"
        assert await causes(pool, shop) == dict.fromkeys(("haiku", "json", "draft-of-old"), "not_offered")

        async with pool.connection() as conn:
            await rules.record_findings(conn)
            (notice, *_) = [
                row for row in await rules.listing(conn, shop.account.id, 10) if row.rule == "listing_differs"
            ]
        message = message_for("listing_differs", shop.account.handle, "haiku", notice.facts, to_operator=False)
        assert "lists say otherwise" in message.title
        assert "got status 503" in message.body

        await shops.rows(pool, "UPDATE provider_keys SET sealed_key = %(key)s RETURNING id", key=sealed[0].sealed_key)
        with environment(INSTANT_VALUE_LIMIT="9000"):
            assert await visit() == "Completed: 1 agree, 3 differ"
        assert set((await causes(pool, shop)).values()) == {"inputs_differ"}
        assert await visit() == "Completed: 4 agree, 0 differ"
        assert await causes(pool, shop) == {}


async def test_a_door_that_nobody_reaches(shop: Shop) -> None:
    """The flow fails, and says so; nothing is held against the products."""
    with environment(INSTANT_PUBLIC_URL=f"http://127.0.0.1:{servers.free_port()}"):
        assert settings().public_url
        state = await listing_check(return_state=True)
    assert state.is_failed()
    assert "door_unreachable" in str(state.message)
    async with db.pool() as pool:
        assert await causes(pool, shop) == {}
