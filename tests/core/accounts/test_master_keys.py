"""Master keys that open nothing of what is stored are found at the start, and by `/health/ready`."""

import pytest

from core import db
from core.accounts import master_keys
from core.accounts.master_keys import KeysInUse
from core.failures import Misconfigured
from core.notices import addresses, webhooks
from core.secrets.private import Private
from core.secrets.vault import new_master_key, vault
from core.settings import settings
from tests import shops

OLD, NEW = new_master_key("old"), new_master_key("new")

pytestmark = pytest.mark.usefixtures("own_keys_again")


def use(monkeypatch: pytest.MonkeyPatch, *keys: str) -> None:
    monkeypatch.setenv("INSTANT_MASTER_KEYS", ",".join(keys))
    settings.cache_clear()
    vault.cache_clear()


async def look(pool: db.Pool) -> KeysInUse:
    async with pool.connection() as conn:
        return await master_keys.keys_in_use(conn)


async def check(pool: db.Pool) -> None:
    async with pool.connection() as conn:
        await master_keys.check(conn)


async def test_nothing_is_stored(pool: db.Pool) -> None:
    """Any key will do for an empty database."""
    assert await look(pool) == KeysInUse((), (), ())
    await check(pool)


async def test_a_key_is_replaced_step_by_step(
    pool: db.Pool, practice_openrouter: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A new key may have sealed nothing yet; the old one is in use until nothing is sealed under it."""
    use(monkeypatch, OLD)
    await shops.open_shop(pool)
    use(monkeypatch, NEW, OLD)
    await check(pool)
    assert await look(pool) == KeysInUse(("old",), (), ())

    await shops.open_shop(pool)
    assert await look(pool) == KeysInUse(("new", "old"), (), ())

    use(monkeypatch, NEW)
    await check(pool)
    assert await look(pool) == KeysInUse(("new",), ("old",), ())
    assert caplog.messages == ["INSTANT_MASTER_KEYS lacks 'old', and what it sealed cannot be read"]


async def test_wrong_keys_stop_the_start(
    pool: db.Pool, practice_openrouter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other bytes under the same id, beside keys that are right or not, and keys that never sealed anything."""
    use(monkeypatch, OLD)
    await shops.open_shop(pool)
    for keys in ([new_master_key("old")], [NEW, new_master_key("old")]):
        use(monkeypatch, *keys)
        with pytest.raises(Misconfigured, match=r"^INSTANT_MASTER_KEYS has another key 'old' than the one that sealed"):
            await check(pool)

    use(monkeypatch, NEW)
    with pytest.raises(
        Misconfigured, match=r"^INSTANT_MASTER_KEYS opens nothing of what is stored, which 'old' sealed"
    ):
        await check(pool)


@pytest.mark.parametrize("table", ["provider_keys", "resource_versions", "notice_addresses", "webhooks"])
async def test_every_kind_of_value_counts(
    pool: db.Pool, practice_openrouter: str, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """Each kind alone shows which key sealed it; the operator's address is sealed for nobody's account."""
    use(monkeypatch, OLD)
    shop = await shops.open_shop(pool)
    await addresses.add(pool, None, Private("json://127.0.0.1/x"))
    async with pool.connection() as conn:
        await webhooks.add(conn, shop.account.id, "https://example.org/hook")
    column = {"provider_keys": "sealed_key", "resource_versions": "sealed_template", "notice_addresses": "sealed_url"}
    column["webhooks"] = "sealed_endpoint"
    others = {name: value for name, value in column.items() if name != table}
    for name, value in others.items():
        await shops.rows(pool, f"UPDATE {name} SET {value} = 'x' RETURNING 1")  # noqa: S608

    assert await look(pool) == KeysInUse(("old",), (), ())
    use(monkeypatch, NEW)
    assert await look(pool) == KeysInUse((), ("old",), ())


async def test_one_damaged_row_is_not_the_key(
    pool: db.Pool, practice_openrouter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its creator has a new key to enter; the others' are opened."""
    use(monkeypatch, OLD)
    await shops.open_shop(pool)
    await shops.rows(pool, "UPDATE provider_keys SET sealed_key = sealed_key || 'x' RETURNING 1")

    await check(pool)
