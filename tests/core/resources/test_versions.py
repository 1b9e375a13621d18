"""Resources: immutable versions, concurrent publishers, and obstacles to a sale."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from core import amounts, db
from core.accounts import accounts
from core.accounts.provider_keys import KEY_COLUMN
from core.failures import ExecutionFailed, InvalidInput, NotFound, Unavailable
from core.providers.registry import OPENROUTER
from core.resources import draft as drafts
from core.resources import publishing, readiness, versions
from core.resources.parameters import Parameter
from core.secrets.vault import Vault, new_master_key, vault
from core.settings import SANDBOX_NETWORK
from tests.selling import ADDRESS, SECRET_TEMPLATE, add_model, content, creator, forget, publish


@pytest.fixture
async def market(database: str) -> AsyncIterator[tuple[db.Pool, accounts.Account]]:
    """A pool and a creator that concurrent transactions see; both are removed after the test."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            owner = await creator(conn)
        yield pool, owner
        async with pool.connection() as conn:
            await forget(conn, owner)


async def for_sale(conn: db.Connection) -> tuple[accounts.Account, versions.Version]:
    """A creator who can sell."""
    owner = await creator(conn)
    key_id: UUID = uuid4()
    plain = f"sk-or-v1-{owner.id}".encode()
    await conn.execute(
        "INSERT INTO provider_keys (id, account_id, provider, sealed_key, key_sha256, label, checked_at)"
        " VALUES (%s, %s, 'openrouter', %s, sha256(%s), 'sk-or-v1-abc...xyz', now())",
        [key_id, owner.id, vault().seal(plain, account=owner.id, column=KEY_COLUMN, row=key_id), plain],
    )
    await publish(conn, owner)
    return owner, await readiness.resolve(conn, owner.handle, "haiku")


# --- publishing


async def test_what_is_published_is_what_is_resolved(conn: db.Connection) -> None:
    """A published draft is found at its URL with all its fields, and its template can be opened."""
    owner = await creator(conn)
    published = await publish(conn, owner, temperature="0.7", modality="json", description="Five seven five")
    found = await readiness.resolve(conn, owner.handle, "haiku")

    assert (published.version_id, 1, 10_000) == (found.version_id, found.number, found.price_atomic)
    assert (Decimal("0.7"), "json", "Five seven five") == (found.temperature, found.modality, found.description)
    assert (Parameter(name="topic"),) == found.parameters
    assert versions.open_template(found).reveal() == SECRET_TEMPLATE
    assert "sealed_template" not in repr(found)
    assert [found] == await versions.listing(conn, owner.id)


async def test_a_change_is_a_new_version_and_the_old_one_stays(conn: db.Connection) -> None:
    """A buyer who was quoted the old version can still be served it."""
    owner = await creator(conn)
    first = await publish(conn, owner)
    second = await publish(conn, owner, price_usdc="0.02")
    old = await versions.version(conn, first.version_id)

    assert (first.number, second.number, second.is_new) == (1, 2, True)
    assert second.version_id == (await readiness.resolve(conn, owner.handle, "haiku")).version_id
    assert old.price_atomic == 10_000


async def test_publishing_the_same_again_changes_nothing(conn: db.Connection) -> None:
    """The present version is returned, in any spelling of the same price and temperature."""
    owner = await creator(conn)
    first = await publish(conn, owner, temperature="0.7", price_usdc="0.01")
    again = await publish(conn, owner, temperature="0.70", price_usdc="0.010")

    assert (first.version_id, 1, False) == (again.version_id, again.number, again.is_new)


async def test_a_dearer_model_makes_publishing_the_same_a_new_version(conn: db.Connection) -> None:
    """The new version reserves today's worst case."""
    owner = await creator(conn)
    first = await publish(conn, owner)
    await conn.execute("UPDATE models SET completion_usd = completion_usd * 2 WHERE id = 'test/small'")
    second = await publish(conn, owner)

    assert second.is_new
    assert second.worst_cost_usd > first.worst_cost_usd


async def test_the_template_is_nowhere_in_the_rows(conn: db.Connection) -> None:
    """The database holds no template in clear."""
    owner = await creator(conn)
    published = await publish(conn, owner)
    rows = await (
        await conn.execute("SELECT * FROM resource_versions WHERE id = %s", [published.version_id])
    ).fetchall()

    assert b"canary" not in rows[0].sealed_template
    assert "canary" not in str(rows)


async def test_concurrent_publishers_of_one_slug_take_turns(market: tuple[db.Pool, accounts.Account]) -> None:
    """Each publisher gets a separate version, numbered without gaps, in any order."""
    pool, owner = market

    async def one(number: int) -> publishing.Published:
        async with pool.connection() as conn:
            return await publish(conn, owner, title=f"Haiku {number}")

    published = await asyncio.gather(*(one(number) for number in range(8)))
    async with pool.connection() as conn:
        offered = await readiness.resolve(conn, owner.handle, "haiku")

    assert sorted(one.number for one in published) == list(range(1, 9))
    assert len({one.resource_id for one in published}) == 1
    assert offered.number == 8


async def test_concurrent_publishers_of_the_same_make_one_version(market: tuple[db.Pool, accounts.Account]) -> None:
    """Identical drafts published at once are one version."""
    pool, owner = market

    async def one() -> publishing.Published:
        async with pool.connection() as conn:
            return await publish(conn, owner)

    published = await asyncio.gather(*(one() for _ in range(5)))

    assert len({one.version_id for one in published}) == 1
    assert sum(one.is_new for one in published) == 1


@pytest.mark.parametrize(
    ("columns", "wanted", "field"),
    [
        ({}, {"model": "test/unknown"}, "model"),
        ({"not_sellable": "router"}, {}, "model"),
        ({"disabled": True}, {}, "model"),
        ({"missing_for": "3 days"}, {}, "model"),
        ({}, {"modality": "image"}, "modality"),
        ({"output_modalities": ["image"]}, {"modality": "json"}, "modality"),
        ({"max_completion_tokens": 1000}, {}, "max_output_tokens"),
        ({"max_completion_tokens": None, "context_length": 1000}, {}, "max_output_tokens"),
        ({}, {"template": "no such {thing}{/thing}"}, "template"),
        ({"completion_usd": Decimal("0.001")}, {}, "price_usdc"),
    ],
)
async def test_what_cannot_be_published(
    conn: db.Connection, columns: dict[str, Any], wanted: dict[str, Any], field: str
) -> None:
    """A draft that its model cannot serve, or with a bad template or a certain loss, is refused, naming the field."""
    owner = await creator(conn)
    await add_model(conn, **columns)

    with pytest.raises(InvalidInput) as caught:
        await publishing.publish(conn, owner.id, drafts.read(content(**wanted)))
    assert [field] == list(caught.value.fields)


async def test_a_model_that_vanished_an_hour_ago_can_still_be_sold(conn: db.Connection) -> None:
    """One absence from the catalog is no deletion."""
    owner = await creator(conn)
    await add_model(conn, missing_for="1 hour")

    assert (await publish(conn, owner)).is_new


async def test_a_possible_loss_is_a_warning_and_a_certain_one_needs_consent(conn: db.Connection) -> None:
    """The warning names both numbers; below the least cost only allow_loss publishes."""
    owner = await creator(conn)
    await add_model(conn, completion_usd=Decimal("0.0001"))
    risky = await publish(conn, owner)

    assert any(f"${amounts.dollars(risky.worst_cost_usd)}" in line and "0.01 USDC" in line for line in risky.warnings)

    await add_model(conn, completion_usd=Decimal("0.01"))
    consented = await publishing.publish(conn, owner.id, drafts.read(content()), allow_loss=True)

    assert consented.number == 2


async def test_what_the_model_ignores_is_a_warning(conn: db.Connection) -> None:
    """A parameter without a tag, and settings that the model does not list, are reported."""
    owner = await creator(conn)
    await add_model(conn, supported_parameters=[])
    published = await publish(conn, owner, temperature="1", modality="json", template="plain", price_usdc="9")

    assert [
        next(word for word in ("topic", "temperature", "response_format") if word in line)
        for line in published.warnings
        if "refuse to pay" not in line
    ] == ["topic", "temperature", "response_format"]


@pytest.mark.parametrize(
    ("price", "limit"), [("0.10", None), ("0.100001", "0.1 USDC"), ("1", "0.1 USDC"), ("1.000001", "1 USDC")]
)
async def test_a_price_that_clients_refuse_by_themselves_is_a_warning(
    conn: db.Connection, price: str, limit: str | None
) -> None:
    """Stock clients pay up to a limit of their own; above it a buyer has to allow more."""
    owner = await creator(conn)
    await add_model(conn)
    published = await publish(conn, owner, price_usdc=price)

    assert [limit for line in published.warnings if "refuse to pay" in line and f"Above {limit} " in line] == (
        [limit] if limit else []
    )
    assert limit or not any("refuse to pay" in line for line in published.warnings)


# --- archiving


async def test_archived_says_so_and_its_slug_stays_taken(conn: db.Connection) -> None:
    """An archived URL is known as archived, takes no new version, and is restored unchanged."""
    owner = await creator(conn)
    published = await publish(conn, owner)
    await versions.archive(conn, owner.id, "haiku")
    await versions.archive(conn, owner.id, "haiku")

    assert (await readiness.resolve(conn, owner.handle, "haiku")).archived
    with pytest.raises(InvalidInput) as caught:
        await publish(conn, owner, title="Another product")
    assert list(caught.value.fields) == ["slug"]
    assert (await versions.version(conn, published.version_id)).archived
    assert [version.archived for version in await versions.listing(conn, owner.id)] == [True]

    await versions.restore(conn, owner.id, "haiku")
    assert published.version_id == (await readiness.resolve(conn, owner.handle, "haiku")).version_id


async def test_a_stranger_can_neither_archive_nor_see(conn: db.Connection) -> None:
    """Another account's slugs do not exist for this one, and equal slugs do not collide."""
    owner, stranger = await creator(conn), await creator(conn)
    await publish(conn, owner)

    for change in (versions.archive, versions.restore):
        with pytest.raises(NotFound):
            await change(conn, stranger.id, "haiku")
    assert await versions.listing(conn, stranger.id) == []

    theirs = await publish(conn, stranger)
    assert theirs.number == 1
    await versions.archive(conn, stranger.id, "haiku")
    assert not (await readiness.resolve(conn, owner.handle, "haiku")).archived


async def test_unknown_is_not_found(conn: db.Connection) -> None:
    """Unknown handles, slugs and versions raise the same failure."""
    owner = await creator(conn)
    for handle, slug in ((owner.handle, "nothing"), ("nobody", "haiku"), ("' OR true --", "%")):
        with pytest.raises(NotFound):
            await readiness.resolve(conn, handle, slug)
    with pytest.raises(NotFound):
        await versions.version(conn, uuid4())


# --- readiness


async def test_a_complete_resource_is_ready(conn: db.Connection) -> None:
    """With a key, a model, a budget and an address it can be sold, and the address keeps its spelling."""
    owner, version = await for_sale(conn)

    assert (await readiness.readiness(conn, version)).payouts == {SANDBOX_NETWORK: ADDRESS}
    assert f"sk-or-v1-{owner.id}" == (await readiness.open_key(conn, owner.id, OPENROUTER)).reveal()


@pytest.mark.parametrize(
    ("obstacle", "code"),
    [
        ("UPDATE resources SET archived_at = now() WHERE id = %(resource)s", "archived"),
        ("DELETE FROM provider_keys WHERE account_id = %(account)s", "key_missing"),
        ("UPDATE provider_keys SET enabled = false WHERE account_id = %(account)s", "key_disabled"),
        ("UPDATE provider_keys SET rejected_at = now() WHERE account_id = %(account)s", "key_rejected"),
        ("UPDATE provider_keys SET expires_at = now() WHERE account_id = %(account)s", "key_expired"),
        ("UPDATE provider_keys SET limit_remaining_usd = 0 WHERE account_id = %(account)s", "key_spent"),
        ("UPDATE provider_keys SET limit_remaining_usd = -3.2 WHERE account_id = %(account)s", "key_spent"),
        ("UPDATE provider_keys SET id = gen_random_uuid() WHERE account_id = %(account)s", "key_unreadable"),
        ("UPDATE resource_versions SET sealed_template = 'x' WHERE id = %(version)s", "template_unreadable"),
        ("UPDATE models SET not_sellable = 'router' WHERE id = 'test/small'", "model_withdrawn"),
        ("UPDATE models SET disabled = true WHERE id = 'test/small'", "model_withdrawn"),
        ("UPDATE models SET missing_since = now() - interval '3 days' WHERE id = 'test/small'", "model_withdrawn"),
        ("UPDATE accounts SET daily_spend_cap_usd = 0 WHERE id = %(account)s", "spend_cap"),
        (
            "INSERT INTO spend_days (account_id, day, reserved_usd, spent_usd)"
            " VALUES (%(account)s, (now() AT TIME ZONE 'UTC')::date, 25, 25)",
            "spend_cap",
        ),
        ("UPDATE resources SET daily_spend_cap_usd = 0 WHERE id = %(resource)s", "resource_spend_cap"),
        (
            "WITH capped AS (UPDATE resources SET daily_spend_cap_usd = 50 WHERE id = %(resource)s)"
            " INSERT INTO resource_spend_days (resource_id, day, reserved_usd, spent_usd)"
            " VALUES (%(resource)s, (now() AT TIME ZONE 'UTC')::date, 25, 25)",
            "resource_spend_cap",
        ),
        ("UPDATE accounts SET own_daily_spend_cap_usd = 0 WHERE id = %(account)s", "spend_cap"),
        ("UPDATE accounts SET monthly_spend_cap_usd = 0 WHERE id = %(account)s", "monthly_spend_cap"),
        ("UPDATE resources SET monthly_spend_cap_usd = 0 WHERE id = %(resource)s", "resource_monthly_spend_cap"),
        ("UPDATE accounts SET most_per_call_usd = 0 WHERE id = %(account)s", "call_cap"),
        ("UPDATE resources SET most_per_call_usd = 0 WHERE id = %(resource)s", "resource_call_cap"),
        ("DELETE FROM payout_addresses WHERE account_id = %(account)s", "no_payout_address"),
        ("UPDATE payout_addresses SET network = 'eip155:8453' WHERE account_id = %(account)s", "no_payout_address"),
    ],
)
async def test_each_obstacle_stops_the_sale(conn: db.Connection, obstacle: str, code: str) -> None:
    """A call that could not run is not offered; the code for our logs says why."""
    owner, before = await for_sale(conn)
    names = {"account": owner.id, "version": before.version_id, "resource": before.resource_id}
    await conn.execute(obstacle.encode(), names)
    version = await versions.version(conn, before.version_id)

    with pytest.raises(Unavailable) as caught:
        await readiness.readiness(conn, version)
    assert code == caught.value.code


async def test_a_cap_of_its_own_is_no_new_version(conn: db.Connection) -> None:
    """Publishing the same with another cap changes the cap at once, and without one removes it."""
    owner = await creator(conn)
    for cap in ("2.50", "0", None):
        published = await publish(conn, owner, daily_spend_cap_usd=cap)
        found = await conn.execute("SELECT daily_spend_cap_usd FROM resources WHERE id = %s", [published.resource_id])
        assert await found.fetchone() == (None if cap is None else Decimal(cap),)
        assert published.number == 1
    with pytest.raises(InvalidInput) as caught:
        await publish(conn, owner, daily_spend_cap_usd=0.1)
    assert list(caught.value.fields) == ["daily_spend_cap_usd"]


async def test_what_was_spent_yesterday_does_not_count(conn: db.Connection) -> None:
    """The cap is per UTC day."""
    owner, version = await for_sale(conn)
    await conn.execute(
        "INSERT INTO spend_days (account_id, day, spent_usd) VALUES (%s, (now() AT TIME ZONE 'UTC')::date - 1, 50)",
        [owner.id],
    )

    assert await readiness.readiness(conn, version)


async def test_a_full_queue_stops_the_sale(conn: db.Connection) -> None:
    """Unfinished executions count, finished ones do not."""
    owner, version = await for_sale(conn)
    await conn.execute("UPDATE accounts SET queue_limit = 2 WHERE id = %s", [owner.id])
    insert = (
        "INSERT INTO executions (id, kind, account_id, version_id, state, sealed_inputs, finished_at)"
        " VALUES (gen_random_uuid(), 'test', %s, %s, %s, '', CASE WHEN %s THEN now() END)"
    )
    for state in ("queued", "void", "running"):
        assert await readiness.readiness(conn, version)
        await conn.execute(insert, [owner.id, version.version_id, state, state == "void"])

    with pytest.raises(Unavailable) as caught:
        await readiness.readiness(conn, version)
    assert caught.value.code == "queue_full"


async def test_a_call_that_cannot_have_its_key_fails_as_data(conn: db.Connection) -> None:
    """A paid call without a key is the creator's fault; a value that cannot be opened is ours."""
    owner, _ = await for_sale(conn)
    troubles = []
    for change in (
        "UPDATE provider_keys SET id = gen_random_uuid() WHERE account_id = %s",
        "UPDATE provider_keys SET enabled = false WHERE account_id = %s",
        "DELETE FROM provider_keys WHERE account_id = %s",
    ):
        await conn.execute(change.encode(), [owner.id])
        with pytest.raises(ExecutionFailed) as caught:
            await readiness.open_key(conn, owner.id, OPENROUTER)
        troubles.append((caught.value.fault, caught.value.detail))

    assert troubles == [("ours", "key_unreadable"), ("creator", "key_disabled"), ("creator", "key_missing")]


async def test_a_template_that_nobody_can_open_is_mended_by_publishing_it_again(conn: db.Connection) -> None:
    """A template under a lost master key makes calls fail as data; publishing it again makes a readable version."""
    owner, version = await for_sale(conn)
    gone = Vault(new_master_key("gone")).seal(
        SECRET_TEMPLATE.encode(), account=owner.id, column="resource_versions.sealed_template", row=version.version_id
    )
    await conn.execute("UPDATE resource_versions SET sealed_template = %s WHERE id = %s", [gone, version.version_id])
    with pytest.raises(ExecutionFailed) as caught:
        versions.open_template(await versions.version(conn, version.version_id))
    assert (caught.value.fault, caught.value.detail) == ("ours", "template_unreadable")

    mended = await publish(conn, owner)
    assert mended.is_new
    assert versions.open_template(await versions.version(conn, mended.version_id)).reveal() == SECRET_TEMPLATE
