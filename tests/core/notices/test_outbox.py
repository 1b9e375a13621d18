"""From a notice to its addresses: real couriers, a real receiver, and the delivery log."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from core import db
from core.failures import InvalidInput, NotFound
from core.notices import addresses, outbox
from core.notices.outbox import Delivered
from core.secrets.private import Private
from core.secrets.vault import Vault, new_master_key
from core.settings import settings
from tests import leaks, orders, shops
from tests.receivers import receiver

FACTS = '{"days": 30, "calls": 10, "succeeded": 3, "causes": []}'


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@pytest.fixture
async def creator(pool: db.Pool) -> UUID:
    return (await orders.version(pool)).account_id


async def tell(pool: db.Pool, account_id: UUID) -> UUID:
    """Record a notice for all its recipients."""
    notice_id = uuid4()
    insert = "INSERT INTO notices (id, rule, account_id, facts) VALUES (%(id)s, 'success_low', %(to)s, %(facts)s)"
    async with pool.connection() as conn:
        await conn.execute(insert.encode(), {"id": notice_id, "to": account_id, "facts": FACTS})
        await outbox.sql.address_all(conn, notice_ids=[notice_id])
    return notice_id


async def log(pool: db.Pool) -> list[tuple[Any, ...]]:
    """The delivery log."""
    rows = await shops.rows(pool, "SELECT name, state, tries, reason FROM notice_deliveries ORDER BY name")
    return [tuple(row) for row in rows]


async def later(pool: db.Pool) -> None:
    """Let all waiting times be over."""
    await shops.rows(pool, "UPDATE notice_deliveries SET tried_at = tried_at - interval '1 hour' RETURNING id")


async def test_creator_and_operator_are_told_once(pool: db.Pool, creator: UUID) -> None:
    """Each gets it once at their own address, however many processes deliver; the operator's copy names the creator."""
    async with receiver() as here:
        await addresses.add(pool, creator, Private(here.url() + "/creator"), "my phone")
        await addresses.add(pool, None, Private(here.url() + "/operator"))
        await tell(pool, creator)
        done = await asyncio.gather(*(outbox.deliver(pool) for _ in range(3)))
        await outbox.deliver(pool)

    assert sum(one.sent for one in done) == 2
    assert await log(pool) == [("json", "sent", 1, None), ("my phone", "sent", 1, None)]
    by_path = dict(here.posted)
    assert by_path.keys() == {"/here/creator", "/here/operator"}
    assert by_path["/here/creator"]["message"].startswith("3 of 10 paid calls")
    assert by_path["/here/operator"]["message"].startswith("To @c")


async def test_what_is_not_delivered_is_tried_three_times(pool: db.Pool, creator: UUID) -> None:
    """The tries have pauses between them, and one failing address does not keep others from getting the notice."""
    async with receiver(answer=b"503 Later") as full, receiver() as here:
        await addresses.add(pool, creator, Private(full.url()), "full")
        await addresses.add(pool, creator, Private(here.url()), "good")
        await tell(pool, creator)
        passes = [await outbox.deliver(pool), await outbox.deliver(pool)]
        for _ in range(3):
            await later(pool)
            passes.append(await outbox.deliver(pool))

    assert passes == [
        Delivered(1, 1, 0),
        Delivered(0, 0, 0),
        Delivered(0, 1, 0),
        Delivered(0, 0, 1),
        Delivered(0, 0, 0),
    ]
    assert len(full.posted) == 3
    assert len(here.posted) == 1
    assert await log(pool) == [("full", "failed", 3, "not_delivered"), ("good", "sent", 1, None)]


async def test_a_courier_that_never_came_back(pool: db.Pool, creator: UUID) -> None:
    """After a courier that was killed after counting its try, another try follows, and the tries stay bounded."""
    async with receiver() as here:
        await addresses.add(pool, creator, Private(here.url()))
        await tell(pool, creator)
        async with pool.connection() as conn:
            claimed = [row async for row in outbox.sql.claim(conn, patience_seconds=900, most=4)]
        assert (await outbox.deliver(pool)).sent == 0
        await later(pool)
        assert (await outbox.deliver(pool)).sent == 1

    assert len(claimed) == len(here.posted) == 1
    assert await log(pool) == [("json", "sent", 2, None)]


async def test_addresses_that_are_gone(pool: db.Pool, creator: UUID) -> None:
    """An address that was removed meanwhile, or is sealed under a lost key, fails, and the log says so."""
    gone = await addresses.add(pool, creator, Private("json://example.org/gone"), "gone")
    lost = await addresses.add(pool, creator, Private("json://example.org/lost"), "lost")
    await tell(pool, creator)
    sealed = Vault(new_master_key("other")).seal(b"json://x", account=creator, column=addresses.COLUMN, row=lost.id)
    await shops.rows(
        pool,
        "UPDATE notice_addresses SET sealed_url = %(sealed)s WHERE id = %(id)s RETURNING id",
        sealed=sealed,
        id=lost.id,
    )
    async with pool.connection() as conn:
        await addresses.remove(conn, creator, gone.id)

    assert await outbox.deliver(pool) == Delivered(0, 0, 2)
    assert await log(pool) == [("gone", "failed", 1, "address_removed"), ("lost", "failed", 1, "address_unreadable")]


async def test_urls_are_sealed_and_never_shown(pool: db.Pool, creator: UUID, own_database: str) -> None:
    """They are in clear neither in the database nor in the list."""
    word = leaks.canary("token")
    added = await addresses.add(pool, creator, Private(f"json://user:{word}@example.org/{word}"), "hook")

    async with pool.connection() as conn:
        (listed,) = await addresses.listing(conn, creator)
        assert await addresses.listing(conn, None) == []
    assert listed == added
    assert word not in repr(added)
    assert await leaks.in_database(own_database, {"token": word}) == {}


async def test_addresses_belong_to_somebody(pool: db.Pool, creator: UUID) -> None:
    """Nobody removes another's address, and each owner has five at most."""
    other = (await orders.version(pool)).account_id
    added = [await addresses.add(pool, creator, Private("json://example.org/x")) for _ in range(5)]

    with pytest.raises(InvalidInput, match="invalid_input") as refused:
        await addresses.add(pool, creator, Private("json://example.org/x"))
    assert "5 addresses" in refused.value.fields["url"]
    for stranger in (other, None):
        async with pool.connection() as conn:
            with pytest.raises(NotFound):
                await addresses.remove(conn, stranger, added[0].id)
    async with pool.connection() as conn:
        await addresses.remove(conn, creator, added[0].id)
        assert len(await addresses.listing(conn, creator)) == 4


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "http://example.org",
        "file:///etc/passwd",
        "workflows://host/a/b",
        "syslog://",
        "dbus://",
        "json://127.0.0.2/x",
        "json://10.0.0.1/x",
        "json://[::1]:80/x",
        "json://[::ffff:10.0.0.1]/x",
        "json://169.254.169.254/latest/meta-data",
        "json://[",
        "json://example.org/x json://example.org/y",
        "json://example.org/" + "x" * 1000,
        "tgram://nonsense",
        "JSON://example.org",
    ],
)
async def test_what_a_creator_may_not_name(pool: db.Pool, creator: UUID, url: str) -> None:
    """Services that are not on the list, internal networks, and URLs that no service understands are refused."""
    with pytest.raises(InvalidInput) as refused:
        await addresses.add(pool, creator, Private(url))

    assert refused.value.fields.keys() == {"url"}
    assert not url or url not in str(refused.value.fields)


@pytest.mark.parametrize("name", ["x" * 61, "two\nlines", "\x1b[31mred", "a\u202eb"])
async def test_a_name_that_is_no_name(pool: db.Pool, creator: UUID, name: str) -> None:
    """A name is one line without control characters, because it is shown on the operator's terminal too."""
    with pytest.raises(InvalidInput) as refused:
        await addresses.add(pool, creator, Private("json://example.org/x"), name)

    assert refused.value.fields.keys() == {"name"}


async def test_what_only_the_operator_may(pool: db.Pool, creator: UUID) -> None:
    """The operator may name any service that apprise knows, but reach only the networks that were opened."""
    url = f"workflows://example.org/{'a' * 32}/{'b' * 32}"
    assert (await addresses.add(pool, None, Private(url))).scheme == "workflows"
    with pytest.raises(InvalidInput, match="invalid_input"):
        await addresses.add(pool, None, Private("json://127.0.0.2/x"))
    assert (await addresses.add(pool, None, Private("json://127.0.0.1/x"))).scheme == "json"


def test_the_operators_networks_are_not_the_creators() -> None:
    """A network that was opened for the operator stays closed to creators; in the sandbox everybody is the operator."""
    practice, opened = settings(), settings().notice_networks
    live = practice.model_copy(update={"mode": "live"})

    assert opened
    assert addresses.networks_of(practice, uuid4()) == addresses.networks_of(practice, None) == opened
    assert addresses.networks_of(live, None) == opened
    assert addresses.networks_of(live, uuid4()) == ()
