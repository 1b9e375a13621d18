"""`instant backup` and `instant restore`: what is in the file, and everything that a restore refuses."""

import asyncio
import hashlib
import json
import os
import stat
import tarfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from cli.app import main
from core import db
from core.db.migrate import MIGRATIONS
from core.secrets import vault
from core.secrets.vault import new_master_key
from core.settings import settings
from deployments.backup import programs
from tests import orders, practice, servers

PICTURE = b"a picture of a canary"


@pytest.fixture(scope="module")
def facilitator() -> Iterator[str]:
    """A facilitator whose book stays empty."""
    with practice.facilitator() as url:
        yield url


@dataclass(frozen=True)
class Place:
    """A database with one sale and a picture, and an empty one."""

    full: str
    empty: str
    media: Path
    file: Path


@pytest.fixture
async def place(own_database: str, postgres: str, facilitator: str, tmp_path: Path) -> AsyncIterator[Place]:
    """The settings name the full one."""
    before = dict(os.environ)
    with servers.our_database(postgres, "empty") as empty:
        os.environ |= {
            "INSTANT_FACILITATOR_PORT": str(urlsplit(facilitator).port),
            "INSTANT_MEDIA_URL": (tmp_path / "with space").as_uri(),
        }
        os.environ.setdefault("INSTANT_PREFECT_DATABASE_URL", own_database)
        use(own_database)
        async with db.pool() as pool:
            await orders.pay(pool, await orders.version(pool), await orders.hire(pool))
            # The process that was hired goes on for ever.
            async with pool.connection() as conn:
                await conn.execute("UPDATE workers SET heartbeat_at = now() - interval '1 hour'")
        name = f"{uuid4()}/{hashlib.sha256(PICTURE).hexdigest()}.png"
        path = tmp_path / "with space" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(PICTURE)
        yield Place(own_database, empty, path, tmp_path / "one.tar")
    os.environ.clear()
    os.environ |= before
    forget()


def use(url: str, **changes: str) -> None:
    """Let the settings name this database."""
    os.environ["INSTANT_DATABASE_URL"] = servers.as_role(url, "instant_app")
    os.environ["INSTANT_OWNER_DATABASE_URL"] = servers.as_role(url, "instant_owner")
    os.environ.update(changes)
    forget()


def forget() -> None:
    """Let the settings and the keys be read anew."""
    settings.cache_clear()
    vault.vault.cache_clear()


async def instant(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Run a command; return its exit code, and what it printed to either."""
    capsys.readouterr()
    code = await asyncio.to_thread(main, [str(one) for one in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def counts(url: str) -> tuple[object, ...]:
    """What is in a database that should be the same in both."""
    parts = (
        *("count(*) FROM payments", "count(*) FROM sealed_values()", "mode FROM installation"),
        *("count(*) FROM pg_policies", "count(*) FROM pg_default_acl", "count(*) FROM pg_indexes"),
        # An access list is empty or whole: every right of every table, in any order.
        "md5(string_agg(relname || acl::text, ',' ORDER BY relname, acl::text)) FROM pg_class, unnest(relacl) AS acl"
        " WHERE relnamespace = 'public'::regnamespace",
    )
    query = "SELECT " + ", ".join(f"(SELECT {part})" for part in parts)
    with psycopg.connect(url) as conn:
        return tuple(conn.execute(query.encode()).fetchone() or ())


async def test_there_and_back(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows, rights and pictures come back, also where something else was; the file is private and has no master key."""
    code, told, _ = await instant(capsys, "backup", place.file, "--json")
    manifest, text = json.loads(told), place.file.read_bytes()
    key = os.environ["INSTANT_MASTER_KEYS"]
    with tarfile.open(place.file) as tar:
        names = tar.getnames()

    assert code == 0
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o600
    assert names == ["instant.dump", f"media/{place.media.parent.name}/{place.media.name}", "manifest.json"]
    assert key.partition(":")[2].encode() not in text
    assert (manifest["payments"], manifest["key_ids"], manifest["media_files"]) == (1, ["test"], 1)
    assert manifest["migrations"] == sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
    assert [one.name for one in place.file.parent.iterdir() if one.name.startswith(".instant")] == []

    place.media.unlink()
    use(place.empty)
    code, told, progress = await instant(capsys, "restore", place.file)
    again, _, _ = await instant(capsys, "restore", place.file)
    replaced, told_again, _ = await instant(capsys, "restore", place.file, "--replace", "--json")

    assert (code, again, replaced) == (0, 2, 0), progress
    assert "1 accounts, 1 payments" in told
    assert "tables restored" in progress
    assert json.loads(told_again)["opening"] == ["test"]
    assert place.media.read_bytes() == PICTURE
    assert counts(place.empty) == counts(place.full)
    async with db.pool() as pool, pool.connection() as conn:
        row = await (await conn.execute("SELECT count(*) AS n FROM restores WHERE backup_at < restored_at")).fetchone()
        alive = await (await conn.execute("SELECT count(*) AS n FROM workers WHERE stopped_at IS NULL")).fetchone()
        assert (row.n, alive.n) == (1, 0)
        async with db.acting_for(pool, uuid4()) as acting:
            assert (await (await acting.execute("SELECT count(*) AS n FROM resources")).fetchone()).n == 0


async def test_a_folder_gets_a_file_named_after_its_moment(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """One that exists is never overwritten, and a folder that does not exist is a sentence."""
    code, told, _ = await instant(capsys, "backup", place.file.parent)
    (made,) = place.file.parent.glob("instant-2*Z.tar")
    taken, _, said = await instant(capsys, "backup", made)
    nowhere, _, other = await instant(capsys, "backup", place.file.parent / "no" / "one.tar")

    assert code == 0
    assert made.name in told
    assert (taken, nowhere) == (2, 2)
    assert "exists" in said
    assert "No such file" in other


async def test_what_a_restore_refuses(place: Place, postgres: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each in one sentence, before anything is changed: no keys, damage, a cut, no backup, in use, other rights."""
    await instant(capsys, "backup", place.file)
    use(place.empty)
    damaged, cut, nothing = (place.file.with_name(name) for name in ("damaged", "cut", "nothing"))
    whole = place.file.read_bytes()
    at = whole.index(PICTURE)
    damaged.write_bytes(whole[:at] + b"A" + whole[at + 1 :])
    cut.write_bytes(whole[: len(whole) // 2])
    nothing.write_bytes(b"")
    said = {
        name: (await instant(capsys, "restore", file))[::2]
        for name, file in (("damaged", damaged), ("cut", cut), ("nothing", nothing), ("gone", Path("/nowhere")))
    }
    keys = os.environ["INSTANT_MASTER_KEYS"]
    use(place.empty, INSTANT_MASTER_KEYS=new_master_key("another"))
    said["keys"] = (await instant(capsys, "restore", place.file))[::2]
    untouched = empty(place.empty)
    use(place.empty, INSTANT_MASTER_KEYS=new_master_key("test"))
    said["other key"] = (await instant(capsys, "restore", place.file))[::2]
    use(place.full, INSTANT_MASTER_KEYS=keys)
    marked = (await instant(capsys, "restore", "--mark", "2026-11-28T03:17:00"))[:2]
    said["both"] = (await instant(capsys, "restore", place.file, "--mark", "2026-11-28T03:17:00"))[::2]
    async with db.transaction() as conn:
        await orders.hired(conn)
    said["in use"] = (await instant(capsys, "restore", place.file, "--replace"))[::2]
    del os.environ["INSTANT_OWNER_DATABASE_URL"]
    forget()
    said["rights"] = (await instant(capsys, "backup", place.file.with_name("two.tar")))[::2]

    assert marked[0] == 0
    assert "the database shows 2026-11-28 03:17:00 UTC" in marked[1]
    assert said.pop("both")[0] == 1
    assert {name: code for name, (code, _) in said.items()} == dict.fromkeys(said, 2)
    for name, words in (
        ("damaged", "is not what was written"),
        ("cut", "no whole backup"),
        ("nothing", "no whole backup"),
        ("gone", "No such file"),
        ("keys", "INSTANT_MASTER_KEYS lacks 'test'"),
        ("other key", "another key 'test'"),
        ("in use", "stop executor"),
        ("rights", "INSTANT_OWNER_DATABASE_URL"),
    ):
        assert words in said[name][1], (name, said[name])
    assert untouched


async def test_without_keys_it_says_which_are_missing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Who has lost a key gets the rest; what that key sealed can be read as soon as it is back."""
    keys = os.environ["INSTANT_MASTER_KEYS"]
    await instant(capsys, "backup", place.file)
    use(place.empty, INSTANT_MASTER_KEYS=new_master_key("another"))
    code, told, _ = await instant(capsys, "restore", place.file, "--without-keys")
    use(place.empty, INSTANT_MASTER_KEYS=f"{new_master_key('another')},{keys}")
    masters, after, _ = await instant(capsys, "keys", "masters")

    assert code == 0
    assert "'test' is missing" in told
    assert masters == 0
    assert "'test' still opens" in after


async def test_programs_fit_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version of the server or the next newer one is taken; an older one is a sentence about what to install."""
    for version in (12, 99):
        path = tmp_path / str(version) / "pg_dump"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}.1'\n")
        path.chmod(0o700)
    monkeypatch.setenv("PATH", os.pathsep.join(str(tmp_path / one) for one in ("12", "99")) + ":/bin")

    assert programs.find("pg_dump", 98).version == 99
    assert programs.find("pg_dump", 12).version >= 12
    with pytest.raises(Exception, match="install the client programs of Postgres 100"):
        programs.find("pg_dump", 100)
    with pytest.raises(Exception, match="pg_nothing is not installed"):
        programs.find("pg_nothing", 18)


def empty(url: str) -> bool:
    """Whether a database has no table."""
    with psycopg.connect(url) as conn:
        found = conn.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchone()
        return found == (0,)
