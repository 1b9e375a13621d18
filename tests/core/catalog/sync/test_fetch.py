"""Fetching a list, and a whole sync from the provider to the table."""

import asyncio
import os
from typing import Any

import httpx
import pytest

from core import db
from core.catalog import model_list, openrouter_listing
from core.catalog import search as catalog
from core.catalog import sync as catalog_sync
from core.catalog.model_list import ListRefused
from core.resources.repricing import reprice
from core.settings import settings
from tests.core.catalog.sync.conftest import Provider
from tests.model_lists import listed, listing, table


async def fetch() -> object:
    async with httpx.AsyncClient() as http:
        return (await model_list.fetch(http))[0]


async def test_fetch_asks_for_every_modality(provider: Provider) -> None:
    """Without the parameter the provider lists text models only."""
    row = listed(name='Brackets in text: "[[[[" \\', deep=[[[{"a": []}]]] * 100)
    provider.lists(row)

    assert await fetch() == listing(row)
    assert provider.asked == "/api/v1/models?output_modalities=all"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"{}", "status 500"),
        (302, b"{}", "status 302"),
        (200, b"", "malformed"),
        (200, b"<html>", "malformed"),
        (200, b'{"data": [{"id": "a/b", "x": NaN}]}', "malformed"),
        (200, b'{"data": [{"id": "a/b"', "malformed"),
        (200, b"\xff\xfe\x00", "malformed"),
        (200, b"[" * 1_000_000, "malformed"),
        (200, b'{"data": [' + b"[" * 65 + b"]" * 65 + b"]}", "malformed"),
        (200, b" " * (16 * 1024 * 1024) + b"{}", "malformed"),
        (200, b"[" + b"[]," * 500_000 + b"[]]", "malformed"),
    ],
)
async def test_an_answer_that_is_no_catalog(provider: Provider, status: int, body: bytes, reason: str) -> None:
    """Errors, redirects, and bodies that are not JSON or far too large are refused with a code, not an exception."""
    provider.status, provider.body = status, body

    with pytest.raises(ListRefused, match=reason) as caught:
        await fetch()

    assert caught.value.__cause__ is None


async def test_nobody_answers(provider: Provider) -> None:
    """A provider that cannot be reached is a refusal like any other."""
    from tests import servers

    os.environ["INSTANT_OPENROUTER_URL"] = f"http://127.0.0.1:{servers.free_port()}"
    settings.cache_clear()

    with pytest.raises(ListRefused, match="unreachable"):
        await fetch()


async def test_sync_holds_no_connection_while_it_fetches(provider: Provider) -> None:
    """Every connection of the pool is free until the provider has answered."""
    provider.lists(listed("s/1"))
    provider.may_answer.clear()
    async with db.pool() as pool:
        await pool.wait()
        syncing = asyncio.create_task(catalog_sync.sync(pool, reprice))
        await asyncio.to_thread(provider.was_asked.wait, 30)
        stats = pool.get_stats()
        provider.may_answer.set()
        synced = await syncing

        assert stats["pool_available"] == stats["pool_size"]
        assert (synced.outcome, synced.summary()) == ("applied", "1 added")
        async with pool.connection() as conn:
            assert await catalog.find(conn, "s/1") is not None
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


async def test_syncs_at_once_take_turns(provider: Provider) -> None:
    """Of several syncs of the same list at once, one adds and the others find it done."""
    provider.lists(*[listed(f"s/{n}") for n in range(50)])
    async with db.pool() as pool:
        results = await asyncio.gather(*[catalog_sync.sync(pool, reprice) for _ in range(5)])

        assert sorted(synced.added for synced in results) == [0, 0, 0, 0, 50]
        assert sorted(synced.unchanged for synced in results) == [0, 50, 50, 50, 50]
        async with pool.connection() as conn:
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


async def test_a_refused_sync_changes_nothing(provider: Provider) -> None:
    """A truncated list leaves the committed catalog exactly as it was."""
    async with db.pool() as pool:
        provider.lists(*[listed(f"s/{n}") for n in range(10)])
        await catalog_sync.sync(pool, reprice)
        provider.lists(*[listed(f"s/{n}") for n in range(5)])
        async with pool.connection() as conn:
            before = await table(conn)

        with pytest.raises(ListRefused, match="shrunk"):
            await catalog_sync.sync(pool, reprice)

        async with pool.connection() as conn:
            assert await table(conn) == before
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


async def last_sync(pool: db.Pool) -> Any:
    async with pool.connection() as conn:
        return (await catalog.syncs(conn, 1))[0]


async def test_a_list_that_did_not_change_is_not_fetched_again(provider: Provider) -> None:
    """What the provider said of the list it is asked again. The same list writes nothing, with a 304 or not."""
    provider.lists(listed("s/1"))
    provider.etag = '"one"'
    async with db.pool() as pool:
        assert (await catalog_sync.sync(pool, reprice)).outcome == "applied"
        assert provider.condition is None

        again = await catalog_sync.sync(pool, reprice)
        assert (provider.condition, again.outcome, again.news.changes) == ('"one"', "not_modified", ())
        first = await last_sync(pool)
        provider.etag = '"another name for it"'
        same = await catalog_sync.sync(pool, reprice)
        assert (same.outcome, same.at, same.unchanged) == ("applied", None, 1)
        async with pool.connection() as conn:
            assert await catalog.syncs(conn, 9) == [first]

        provider.lists(listed("s/1"), listed("s/2"))
        provider.etag = '"two"'
        assert (await catalog_sync.sync(pool, reprice)).added == 1
        async with pool.connection() as conn:
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


@pytest.mark.parametrize("change", ["source = 'older code'", "at = at - interval '8 days'"])
async def test_old_validators_are_not_used(provider: Provider, change: str) -> None:
    """Another version of ours reads the list anew, and so does anybody after a week."""
    provider.lists(listed("s/1"))
    provider.etag = '"one"'
    async with db.pool() as pool:
        await catalog_sync.sync(pool, reprice)
        async with pool.connection() as conn:
            await conn.execute(f"UPDATE catalog_syncs SET {change}".encode())  # noqa: S608 - a change of ours

        assert (await catalog_sync.sync(pool, reprice)).outcome == "applied"
        assert provider.condition is None
        async with pool.connection() as conn:
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


async def test_a_new_reader_reads_the_list_anew(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the provider calls unmodified was read by an older version of ours."""
    provider.lists(listed("s/1"))
    provider.etag = '"one"'
    async with db.pool() as pool:
        await catalog_sync.sync(pool, reprice)
        monkeypatch.setattr(openrouter_listing, "READER_VERSION", openrouter_listing.READER_VERSION + 1)

        assert (await catalog_sync.sync(pool, reprice)).outcome == "applied"
        assert provider.condition is None
        async with pool.connection() as conn:
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


async def test_a_refused_list_leaves_its_validators_unknown(provider: Provider) -> None:
    """A refusal is noted; the list is fetched in full until one is applied, so that it cannot hide behind a 304."""
    async with db.pool() as pool:
        provider.lists()
        provider.etag = '"bad"'
        for _ in range(2):
            with pytest.raises(ListRefused, match="empty"):
                await catalog_sync.sync(pool, reprice)
            assert provider.condition is None
        seen = await last_sync(pool)
        assert (seen.outcome, seen.why) == ("refused", "empty")
        async with pool.connection() as conn:
            await conn.execute("TRUNCATE models, catalog_syncs CASCADE")


async def test_nobody_asked_for_a_304(provider: Provider) -> None:
    """A server that answers "not modified" to an unconditional request has not answered."""
    provider.status = 304

    with pytest.raises(ListRefused, match="status 304"):
        await fetch()
