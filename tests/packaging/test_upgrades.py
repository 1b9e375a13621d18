"""Upgrades: a database of each release is migrated with all that is in it, and no migration stops who is at work.

`tests/data/release-VERSION` has what such a release left: a dump by pg_dump, and what its buyers were told.
"""

import gzip
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from core.db import migrate as migrations
from core.db.migrate import Busy, migrate
from core.payments import reconciliation
from core.secrets.vault import Vault
from deployments.databases import ROLES
from drills.surroundings import pool as pool_of
from tests import doors, servers

DATA = Path(__file__).parents[1] / "data"
RELEASES = sorted(DATA.glob("release-*"))

# What must be the same before and after: names of tables have changed, and their rows have moved into others.
_KEPT = """
SELECT (SELECT jsonb_agg(jsonb_build_array(id, handle) ORDER BY id) FROM accounts) AS accounts,
    (SELECT jsonb_agg(jsonb_build_array(id, state, amount_atomic, payer, nonce, transaction) ORDER BY id) FROM payments)
        AS payments,
    (SELECT jsonb_agg(jsonb_build_array(id, state, round, payment_id) ORDER BY id) FROM executions) AS executions,
    (SELECT count(*) FROM resource_versions) AS versions,
    (SELECT jsonb_agg(jsonb_build_array(execution_id, round, outcome) ORDER BY execution_id, round)
        FROM usage_log) AS usage,
    (SELECT count(*) FROM sends) AS sends, (SELECT count(*) FROM attempts) AS attempts,
    (SELECT count(*) FROM models) AS models, (SELECT count(*) FROM refunds) AS refunds
"""


@dataclass(frozen=True)
class Release:
    """What a release left.

    Attributes:
        url: of its database, as superuser.
        master_keys: that seal what is in it.
        calls: what buyers sent and were told.
    """

    url: str
    master_keys: str
    calls: list[dict[str, Any]]


@pytest.fixture(params=RELEASES, ids=lambda folder: folder.name)
def release(request: pytest.FixtureRequest, postgres: str) -> Iterator[Release]:
    """A database as the release left it."""
    told = json.loads(gzip.decompress((request.param / "calls.json.gz").read_bytes()))
    with servers.database(postgres, "release") as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(gzip.decompress((request.param / "database.sql.gz").read_bytes()))
        yield Release(url, told["master_keys"], told["calls"])


def kept(url: str) -> Any:
    """What must be kept."""
    with psycopg.connect(url, options="-c search_path=public") as conn:
        return conn.execute(_KEPT.encode()).fetchone()


def upgrade(url: str) -> list[str]:
    """As docs/upgrade.md says: the roles as superuser, and then `instant migrate` as the owner."""
    make_roles(url)
    return migrate(servers.as_role(url, "instant_owner"), "sandbox")


def make_roles(url: str) -> None:
    """Run deployments/roles/instant.sql; it must not wait for whoever uses a table that has its owner already."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET lock_timeout = '5s'")
        conn.execute((ROLES / "instant.sql").read_bytes())


def test_every_release_is_here() -> None:
    """A new version in the changelog needs its database: see docs/upgrade.md."""
    changelog = (DATA.parents[1] / "CHANGELOG.md").read_text()
    versions = {
        line.split()[1] for line in changelog.splitlines() if line.startswith("## ") and line != "## Unreleased"
    }

    assert {folder.name.removeprefix("release-") for folder in RELEASES} == versions


@pytest.mark.usefixtures("practice_openrouter", "practice_facilitator")
async def test_a_database_of_each_release(release: Release, tmp_path: Path) -> None:
    """Every row is kept and opens with its key, the books agree, and a door sells on and tells old answers again."""
    before = kept(release.url)
    applied = upgrade(release.url)
    after = kept(release.url)
    again = upgrade(release.url)
    vault = Vault(release.master_keys)
    app = servers.as_role(release.url, "instant_app")
    changes = {"INSTANT_DATABASE_URL": app, "INSTANT_MASTER_KEYS": release.master_keys}
    with psycopg.connect(release.url) as conn:
        sealed = conn.execute("SELECT place, account_id, row_id, sealed FROM sealed_values()").fetchall()
    for place, account_id, row_id, value in sealed:
        vault.open(value, account=account_id, column=place, row=row_id)
    async with httpx.AsyncClient(timeout=30, verify=servers.TLS) as http:
        with doors.door(tmp_path, servers.free_port(), **changes) as door:
            for call in release.calls:
                if call["status"] != 200:
                    continue
                paid = {"PAYMENT-SIGNATURE": call["header"]}
                repeated = await http.post(door.url + call["path"], json={"topic": "the sea"}, headers=paid)
                status = urlsplit(call["location"])
                looked = await http.get(f"{door.url}{status.path}?{status.query}")
                assert repeated.status_code == looked.status_code == 200, repeated.text
                assert repeated.json()["response"] == looked.json()["response"] == call["response"]
                assert repeated.json()["receipt"]["transaction"] == call["receipt"]["transaction"]
            offers = {
                path: (await http.get(door.url + path)).status_code for path in {c["path"] for c in release.calls}
            }
    async with pool_of(release.url) as pool:
        comparison = await reconciliation.compare_ledger(pool)

    assert len(applied) > 10
    assert again == []
    assert after == before
    assert len(sealed) > 20
    assert set(offers.values()) == {402}
    assert comparison.differences == []


def test_a_migration_waits_without_making_others_wait(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a long transaction reads a table, whoever else reads it goes on, and the migration follows in the end."""
    monkeypatch.setattr(migrations, "_LOCK_SECONDS", 0.2)
    monkeypatch.setattr(migrations, "_PAUSE_SECONDS", 0.2)
    applied: list[str] = []
    migrating = threading.Thread(target=lambda: applied.extend(upgrade(release.url)))
    slowest = 0.0
    make_roles(release.url)
    with psycopg.connect(release.url) as long, psycopg.connect(release.url, autocommit=True) as other:
        long.execute("SELECT count(*) FROM public.executions")
        migrating.start()
        while not (waited := _waits(other)) and migrating.is_alive():
            time.sleep(0.01)
        for _ in range(20):
            began = time.monotonic()
            other.execute("SELECT count(*) FROM public.executions")
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.05)
        was_waiting = migrating.is_alive()
        long.rollback()
    migrating.join(60)

    assert waited
    assert was_waiting
    assert slowest < 2
    assert len(applied) > 10


def test_a_table_that_is_never_free_is_an_error(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the migration; what was applied before it stays, and the next try goes on from there."""
    monkeypatch.setattr(migrations, "_LOCK_SECONDS", 0.05)
    monkeypatch.setattr(migrations, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(migrations, "_TRIES", 2)
    make_roles(release.url)
    with psycopg.connect(release.url) as long:
        long.execute("SELECT count(*) FROM public.executions")
        with pytest.raises(Busy, match=r"^00\d\d\.[\w-]+: a table"):
            upgrade(release.url)
        long.rollback()

    assert len(upgrade(release.url)) > 5


def _waits(conn: psycopg.Connection[Any]) -> bool:
    """Whether a session of this database waits for a lock of a table."""
    query = (
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted"
        " AND locktype = 'relation' AND datname = current_database()"
    )
    return conn.execute(query).fetchone() != (0,)
