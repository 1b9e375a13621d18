"""What the door knows of a resource is asked for at each request, and never used after it has changed."""

import asyncio

import pytest

from core import db
from core.failures import Unavailable
from core.resources import readiness, versions
from core.secrets.vault import new_master_key, vault
from core.settings import settings
from tests.core.resources.test_versions import for_sale
from tests.selling import add_model, forget, publish

_VERSION = "UPDATE resource_versions SET {} WHERE id = %(version)s"
_RESOURCE = "UPDATE resources SET {} WHERE id = %(resource)s"
_ACCOUNT = "UPDATE accounts SET {} WHERE id = %(account)s"
_KEY = "UPDATE provider_keys SET {} WHERE account_id = %(account)s"
_MODEL = "UPDATE models SET {} WHERE id = 'test/small'"
_REPRICED = "UPDATE repriced_versions SET {} WHERE version_id = %(version)s"
_PAYOUT = "UPDATE payout_addresses SET {} WHERE account_id = %(account)s"

# Two changes of each thing that an offer or its readiness comes from.
CHANGES = [
    _VERSION.format("allows_loss = true"),
    _VERSION.format("allows_loss = false"),
    _RESOURCE.format("shielded_calls = 1"),
    _RESOURCE.format("shielded_calls = 2"),
    _RESOURCE.format("archived_at = now()"),
    _RESOURCE.format("archived_at = NULL"),
    "INSERT INTO repriced_versions (version_id, worst_cost_usd, is_certain_loss) VALUES (%(version)s, 0.1, true)",
    _REPRICED.format("worst_cost_usd = 0.2"),
    _REPRICED.format("is_certain_loss = false"),
    "DELETE FROM repriced_versions WHERE version_id = %(version)s",
    _MODEL.format("prompt_usd = 0.000001"),
    _MODEL.format("prompt_usd = 0.000002"),
    _MODEL.format("missing_since = now() - interval '3 days'"),
    _MODEL.format("missing_since = now()"),
    _KEY.format("enabled = false"),
    _KEY.format("enabled = true"),
    "INSERT INTO spend_days (account_id, day, reserved_usd, spent_usd)"
    " VALUES (%(account)s, (now() AT TIME ZONE 'UTC')::date, 25, 25)",
    _ACCOUNT.format("daily_spend_cap_usd = 1000"),
    _RESOURCE.format("daily_spend_cap_usd = 0"),
    _RESOURCE.format("daily_spend_cap_usd = NULL"),
    _ACCOUNT.format("queue_limit = 1"),
    "INSERT INTO executions (id, kind, account_id, version_id, state, sealed_inputs)"
    " VALUES (gen_random_uuid(), 'test', %(account)s, %(version)s, 'queued', '')",
    _ACCOUNT.format("queue_limit = 2"),
    _PAYOUT.format("address = '0x00000000000000000000000000000000000000a1'"),
    _PAYOUT.format("address = '0x00000000000000000000000000000000000000a2'"),
    _PAYOUT.format("next_address = '0x00000000000000000000000000000000000000a3', next_from = now()"),
    "INSERT INTO networks (id, paused_at) SELECT network, now() FROM payout_addresses WHERE account_id = %(account)s"
    " ON CONFLICT (id) DO UPDATE SET paused_at = now()",
    "UPDATE networks SET paused_at = NULL",
    # From here on it stays unreadable.
    _VERSION.format("sealed_template = 'x'"),
    _VERSION.format("sealed_template = 'y'"),
    _KEY.format("sealed_key = 'x'"),
    _KEY.format("id = gen_random_uuid()"),
]


async def on_sale(conn: db.Connection, handle: str) -> tuple[versions.Version, object]:
    """What the door sees, with a refusal by its code."""
    version, state = await readiness.on_sale(conn, handle, "haiku")
    return version, state.code if isinstance(state, Unavailable) else state


async def read(conn: db.Connection, version: versions.Version) -> tuple[versions.Version, object]:
    """The same, from the rows as they are."""
    fresh = await versions.version(conn, version.version_id)
    try:
        return fresh, await readiness.readiness(conn, fresh)
    except Unavailable as obstacle:
        return fresh, obstacle.code


async def test_every_change_is_seen_at_the_next_request(conn: db.Connection) -> None:
    """Whatever changes, also twice in one transaction, the next look has it, as a fresh reading does."""
    owner, version = await for_sale(conn)
    names = {"account": owner.id, "version": version.version_id, "resource": version.resource_id}
    before = await on_sale(conn, owner.handle)
    for change in CHANGES:
        assert await on_sale(conn, owner.handle) == before
        done = await conn.execute(change.encode(), names)
        assert done.rowcount >= 1, change
        after = await on_sale(conn, owner.handle)
        assert after == await read(conn, version), change
        before = after


async def test_a_key_that_expires_is_seen(database: str) -> None:
    """The time alone ends a sale too, without any change of a row."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            owner, _ = await for_sale(conn)
            await conn.execute(
                "UPDATE provider_keys SET expires_at = now() + interval '1 second' WHERE account_id = %s", [owner.id]
            )
        try:
            async with db.autocommit(pool) as conn, asyncio.timeout(10):
                assert isinstance((await on_sale(conn, owner.handle))[1], readiness.Ready)
                while (await on_sale(conn, owner.handle))[1] != "key_expired":
                    pass
        finally:
            async with pool.connection() as conn:
                await forget(conn, owner)


async def test_what_is_known_is_not_read_again(conn: db.Connection) -> None:
    """While nothing changes there is one version object, so that an offer is encoded once; a new version is another."""
    owner, _ = await for_sale(conn)
    first, _ = await readiness.on_sale(conn, owner.handle, "haiku")
    again, _ = await readiness.on_sale(conn, owner.handle, "haiku")
    await publish(conn, owner, title="Another")
    later, _ = await readiness.on_sale(conn, owner.handle, "haiku")

    assert first is again
    assert (first.number, later.number, later.title) == (1, 2, "Another")


async def test_a_fallback_that_is_withdrawn_is_seen(conn: db.Connection) -> None:
    """Time alone withdraws it, so a version with fallbacks is read each time."""
    owner, _ = await for_sale(conn)
    await add_model(conn, id="test/other")
    await publish(conn, owner, fallbacks=["test/other"])
    offered, _ = await readiness.on_sale(conn, owner.handle, "haiku")
    await conn.execute("UPDATE models SET expires_on = '2020-01-01' WHERE id = 'test/other'")
    without, _ = await readiness.on_sale(conn, owner.handle, "haiku")

    assert ([other.model for other in offered.alternatives], without.alternatives) == (["test/other"], ())


async def test_a_master_key_that_is_gone_is_seen(conn: db.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known holds under the settings that it was read under, also if no row has changed."""
    owner, _ = await for_sale(conn)
    assert isinstance((await on_sale(conn, owner.handle))[1], readiness.Ready)
    with monkeypatch.context() as changed:
        changed.setenv("INSTANT_MASTER_KEYS", new_master_key("other"))
        settings.cache_clear()
        vault.cache_clear()
        _, state = await on_sale(conn, owner.handle)
    settings.cache_clear()
    vault.cache_clear()

    assert state == "key_unreadable"
