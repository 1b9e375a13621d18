"""The hourly check of keys in use, against the practice OpenRouter."""

from decimal import Decimal

import pytest

from core import db
from core.accounts import key_health, provider_keys
from core.accounts.key_health import Checked
from core.failures import Unavailable
from core.resources import readiness, versions
from tests import shops

pytestmark = pytest.mark.usefixtures("practice_openrouter")


async def test_what_is_left_is_noted_and_a_rejected_key_sells_nothing(pool: db.Pool) -> None:
    """Each key is checked by itself; an unreadable one counts against nobody; a rejected one is not checked again."""
    sound, revoked, lost = [await shops.open_shop(pool) for _ in range(3)]
    await sound.openrouter(credits="12.5")
    await revoked.openrouter(revoked=True)
    await shops.rows(
        pool, "UPDATE provider_keys SET sealed_key = 'x' WHERE account_id = %(id)s RETURNING id", id=lost.account.id
    )
    checked = "SELECT limit_remaining_usd, checked_at FROM provider_keys WHERE account_id = %(id)s"
    ((_, before),) = await shops.rows(pool, checked, id=sound.account.id)

    assert await key_health.check_keys(pool) == Checked(sound=1, rejected=1, unknown=1)

    ((left, after),) = await shops.rows(pool, checked, id=sound.account.id)
    assert left == Decimal("12.5")
    assert after > before
    async with pool.connection() as conn:
        state = await provider_keys.key_state(conn, revoked.account.id)
        assert state
        assert state.rejected_at
        with pytest.raises(Unavailable):
            await readiness.readiness(conn, await revoked.version(pool))
    assert await key_health.check_keys(pool) == Checked(sound=1, rejected=0, unknown=1)


async def test_keys_that_nothing_is_sold_on_are_left_alone(pool: db.Pool) -> None:
    """A key that is switched off, or has nothing on sale, causes no request to the provider."""
    off, closed = [await shops.open_shop(pool) for _ in range(2)]
    async with pool.connection() as conn:
        await provider_keys.enable_key(conn, off.account.id, False)
        await versions.archive(conn, closed.account.id, "haiku")

    assert await key_health.check_keys(pool) == Checked(0, 0, 0)


async def test_a_key_with_nothing_left_sells_nothing_until_there_is_more(pool: db.Pool) -> None:
    """A key without credit stops sales until it has credit again; the hourly check notices both."""
    shop = await shops.open_shop(pool)
    version = await shop.version(pool)
    found = []
    for credit in ("0", "5"):
        await shop.openrouter(credits=credit)
        await key_health.check_keys(pool)
        async with pool.connection() as conn:
            try:
                found.append(await readiness.readiness(conn, version))
            except Unavailable as obstacle:
                found.append(obstacle.code)

    assert found[0] == "key_spent"
    assert isinstance(found[1], readiness.Ready)


async def test_a_key_expires_without_another_check(pool: db.Pool) -> None:
    """A key's expiry is known when it is set; from that moment on nothing is sold on it."""
    shop = await shops.open_shop(pool)
    ends = "UPDATE provider_keys SET expires_at = now() + %(after)s * interval '1 hour' WHERE account_id = %(id)s"
    states = []
    for after in (1, -1):
        await shops.rows(pool, f"{ends} RETURNING id", id=shop.account.id, after=after)
        async with pool.connection() as conn:
            state = await provider_keys.key_state(conn, shop.account.id)
            assert state
            states.append((state.obstacle, state.sentence))

    assert states == [(None, None), ("key_expired", "it has expired; set a new one")]
