"""`instant doctor`: all is well, and each thing that is broken is told without ending the rest."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.app import main
from core import db
from core.secrets import vault
from core.secrets.vault import new_master_key
from core.settings import settings
from tests import executors, orders, servers

pytestmark = pytest.mark.usefixtures("surroundings", "own_database")


@pytest.fixture(autouse=True)
def environment(own_database: str) -> Iterator[None]:
    """What a test changes is as it was after it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ |= before
    forget()


def forget() -> None:
    """Let the settings and the keys be read anew."""
    settings.cache_clear()
    vault.vault.cache_clear()


async def doctor(capsys: pytest.CaptureFixture[str], **changes: str) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """Run it with other settings; return its exit code, and by check the states and sentences."""
    before = dict(os.environ)
    os.environ.update(changes)
    forget()
    capsys.readouterr()
    code = await asyncio.to_thread(main, ["doctor", "--json"])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    os.environ.clear()
    os.environ |= before
    forget()
    found: dict[str, list[tuple[str, str]]] = {}
    for one in told["findings"]:
        found.setdefault(one["check"], []).append((one["state"], one["sentence"]))
    assert told["ok"] == (code == 0)
    return code, found


async def test_a_shop_that_runs(surroundings: Path, pool: db.Pool, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is wrong but the schedules, which nobody serves here, and files of the tests' own folder."""
    await orders.pay(pool, await orders.version(pool), await orders.hire(pool))
    with executors.executor(surroundings) as process:
        await executors.at_work(pool, process)
        code, found = await doctor(capsys)
        quiet = await asyncio.to_thread(main, ["doctor", "--quiet"])
        text = capsys.readouterr().out
    wrong = {check for check, told in found.items() if any(state in ("wrong", "unknown") for state, _ in told)}

    assert (code, quiet) == (1, 1)
    assert wrong <= {"schedules", "disk space"}
    assert "missing in Prefect" in found["schedules"][0][1]
    for check in (
        "Postgres",
        "extension",
        "migrations",
        "books",
        "payments",
        "refunds",
        "Prefect",
        "pictures",
        "clock",
    ):
        assert [state for state, _ in found[check]] == ["ok"], (check, found[check])
    assert found["master keys"] == [("ok", "'test' opened what they sealed")]
    assert found["role"] == [("ok", "instant_app may read and write rows, and no more")]
    assert [state for check in found if check.startswith(("chain", "facilitator")) for state, _ in found[check]] == [
        "ok"
    ] * 2
    assert "missing in Prefect" in text
    assert "pg_trgm" not in text


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        ({"INSTANT_PREFECT_API_URL": "http://127.0.0.1:{port}/api"}, "Prefect", "closed port"),
        ({"INSTANT_PREFECT_API_URL": "http://127.0.0.1:{facilitator}/api"}, "Prefect", "is no Prefect API"),
        ({"INSTANT_FACILITATOR_PORT": "{port}"}, "facilitator eip155:402402", "/supported"),
        ({"INSTANT_FACILITATOR_PORT": "{port}"}, "chain eip155:402402", "does not answer"),
        ({"INSTANT_LIMITS_URL": "redis://127.0.0.1:{port}"}, "rate limits", "does not answer"),
        ({"INSTANT_MEDIA_URL": "nowhere://x"}, "pictures", "INSTANT_MEDIA_URL"),
        ({"INSTANT_MASTER_KEYS": "another"}, "master keys", "INSTANT_MASTER_KEYS"),
        ({"INSTANT_DATABASE_URL": "postgresql://127.0.0.1:{port}/x"}, "database", "nothing listens"),
    ],
)
async def test_what_is_broken_is_told(
    capsys: pytest.CaptureFixture[str], changes: dict[str, str], check: str, words: str
) -> None:
    """One thing is broken at a time; everything that does not need it is still looked at."""
    ports = {"port": servers.free_port(), "facilitator": os.environ["INSTANT_FACILITATOR_PORT"]}
    code, found = await doctor(capsys, **{name: value.format(**ports) for name, value in changes.items()})

    assert code == 1
    assert any(state in ("wrong", "warning") and words in told for state, told in found[check]), found[check]
    assert {"pictures", "rate limits", "file descriptors", "files", "schedules", "books"} <= set(found)


async def test_what_is_wrong_with_the_shop(
    pool: db.Pool, own_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A silent process, a queue that nobody works on, unknown payments, an older key in use, and books that differ."""
    await orders.pay(pool, await orders.version(pool), await orders.hire(pool))
    with psycopg.connect(own_database) as conn:
        conn.execute("SET session_replication_role = replica")  # a trigger would not let anybody do that to a payment
        conn.execute("UPDATE payments SET state = 'unknown', decided_at = NULL")
        conn.execute("UPDATE workers SET heartbeat_at = now() - interval '1 hour'")
        conn.execute("UPDATE executions SET queued_at = now() - interval '1 hour'")
    _, found = await doctor(capsys, INSTANT_MASTER_KEYS=f"{new_master_key('new')},{os.environ['INSTANT_MASTER_KEYS']}")

    told = {check: [state for state, _ in some] for check, some in found.items()}
    assert "wrong" in told["processes"]
    assert any("fell silent" in sentence for _, sentence in found["processes"])
    assert told["queue"] == ["wrong"]
    assert told["payments"] == ["warning"]
    assert told["books"] == ["wrong"]
    assert any("'test' still opens" in sentence for _, sentence in found["key rotation"])


async def test_a_database_that_is_not_as_it_should_be(
    postgres: str, own_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another role, no tables, and no role of ours: what needs the tables is not looked at."""
    with servers.our_database(postgres, "bare") as bare:
        looks = {
            "role": (servers.as_role(own_database, "instant_creator"), "may not read and write"),
            "migrations": (servers.as_role(bare, "instant_app"), "run `instant migrate`"),
        }
        for check, (url, words) in looks.items():
            code, found = await doctor(capsys, INSTANT_DATABASE_URL=url)

            assert code == 1
            assert any(state == "wrong" and words in sentence for state, sentence in found[check]), found[check]
            assert [state for state, _ in found["books"]] == ["unknown"]
        _, found = await doctor(capsys, INSTANT_DATABASE_URL=own_database)
    assert any(state == "warning" and "is a superuser" in sentence for state, sentence in found["role"])


async def test_settings_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings that cannot be read are all that it says; a readable file with keys is told."""
    wrong, found = await doctor(capsys, INSTANT_ADDRESS_RATE="lots")
    (tmp_path / "instant.env").write_text("")
    (tmp_path / "instant.env").chmod(0o644)
    _, files = await doctor(capsys, INSTANT_STATE_DIR=str(tmp_path))

    assert wrong == 1
    assert set(found) == {"settings"}
    assert "INSTANT_ADDRESS_RATE" in found["settings"][0][1]
    assert any("chmod 600" in sentence for _, sentence in files["files"])
