"""The embedded Postgres: started when needed, shared, and stopped by its last user."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from core.db.migrate import migrate
from core.failures import Misconfigured
from core.settings import Settings
from deployments import databases, postgres

ROOT = Path(__file__).parents[2]

_USE_IT = """
import sys, time
from pathlib import Path
from deployments import postgres
with postgres.running(Path(sys.argv[1])):
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def state_dir(passable: Path) -> Path:
    return passable / "state folder with a space"


def test_both_databases_exist_while_it_is_used_and_the_last_one_out_stops_it(state_dir: Path) -> None:
    """Prefect's database does not wait for the disk; the database of instant does."""
    with postgres.running(state_dir) as urls:
        with postgres.running(state_dir) as again:
            assert again == urls
        for url, waits in ((urls.instant, "on"), (urls.prefect, "off")):
            with psycopg.connect(url) as conn:
                assert conn.execute("SHOW synchronous_commit").fetchone() == (waits,)
        assert postgres.find(state_dir) == urls

    assert postgres.find(state_dir) is None


def test_another_process_keeps_it_running_and_a_killed_one_leaves_it_attachable(state_dir: Path) -> None:
    user = subprocess.Popen([sys.executable, "-c", _USE_IT, state_dir], stdout=subprocess.PIPE)
    assert user.stdout is not None
    assert user.stdout.readline() == b"up\n"
    with postgres.running(state_dir) as urls:
        pass
    assert postgres.find(state_dir) == urls

    user.kill()
    user.wait()
    user.stdout.close()
    assert postgres.find(state_dir) == urls
    with postgres.running(state_dir), psycopg.connect(urls.instant) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    assert postgres.find(state_dir) is None


def test_stale_lock_files_are_not_believed_although_a_process_has_their_number(state_dir: Path) -> None:
    """After a power cut the process id in postmaster.pid, and in the socket's lock, may belong to any process."""
    data = state_dir / "postgres"
    with postgres.running(state_dir) as urls, psycopg.connect(urls.instant) as conn:
        locks = [data / "postmaster.pid", Path(conn.info.host) / ".s.PGSQL.5432.lock"]
        lines = [lock.read_text().splitlines() for lock in locks]
    for lock, (_, *rest) in zip(locks, lines, strict=True):
        lock.write_text("\n".join([str(os.getpid()), *rest]))
    assert postgres.find(state_dir) is None

    with postgres.running(state_dir) as urls, psycopg.connect(urls.instant) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_a_killed_server_is_started_again(state_dir: Path) -> None:
    with postgres.running(state_dir):
        pid = int((state_dir / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, signal.SIGQUIT)  # ends its children too, without a shutdown: what a crash comes to
        deadline = time.monotonic() + 10
        while postgres.find(state_dir) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.01)

        with postgres.running(state_dir) as urls, psycopg.connect(urls.instant) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("name", ["x" * 120, "a, é"], ids=["too long", "comma"])
def test_a_path_that_is_no_place_for_a_socket_gets_a_private_folder(passable: Path, name: str) -> None:
    """jetify-com/devbox#1575, obsidiansystems/gargoyle#14: Postgres separates its list of folders with commas."""
    with postgres.running(passable / name) as urls, psycopg.connect(urls.instant) as conn:
        sockets = Path(conn.info.host)
        assert sockets.stat().st_mode & 0o077 == 0

    assert not sockets.exists()


def test_three_roles_in_a_state_folder_of_before(passable: Path) -> None:
    """Tables that the superuser made in an earlier version pass to their owners, and the other roles get no more."""
    with postgres.running(passable / "old") as urls:
        prefects = urls.superuser.replace("/instant?", "/prefect?")
        for url in (urls.superuser, prefects):
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute("CREATE EXTENSION pg_trgm")
                conn.execute("CREATE TYPE word AS ENUM ('one', 'two')")
                conn.execute("CREATE TABLE theirs (id bigint GENERATED ALWAYS AS IDENTITY, word word, text text)")
                conn.execute("CREATE INDEX ON theirs USING gin (text gin_trgm_ops)")
        migrate(urls.superuser, "sandbox")

    with postgres.running(passable / "old") as urls:
        assert migrate(urls.owner, "sandbox") == []
        for url, role in ((urls.owner, "instant_owner"), (urls.prefect, "prefect")):
            with psycopg.connect(url, autocommit=True) as conn:
                assert conn.execute("SELECT current_user").fetchone() == (role,)
                conn.execute("ALTER TABLE theirs ADD COLUMN more integer")
        with psycopg.connect(urls.prefect, autocommit=True) as conn:
            conn.execute("ALTER TYPE word ADD VALUE 'three'")
        with psycopg.connect(urls.instant, autocommit=True) as conn:
            assert conn.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
            conn.execute("INSERT INTO theirs (word) VALUES ('one')")
            conn.execute("SELECT make_usage_month('2024-03-05Z')")
            for statement in ("ALTER TABLE theirs ADD COLUMN mine integer", "CREATE TABLE mine (id integer)"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(statement)
        for url in (prefects.replace("postgres@", "instant_app@"), urls.superuser.replace("postgres@", "prefect@")):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(url)


def test_the_manual_gives_the_roles() -> None:
    """What an operator reads, and runs on a Postgres of their own, is what the embedded one runs."""
    manual = (ROOT / "docs" / "operators.md").read_text()

    for name in ("instant", "prefect"):
        statements = (databases.ROLES / f"{name}.sql").read_text()
        assert f"deployments/roles/{name}.sql" in manual
        assert statements.partition("END $$;\n\n")[2] in manual


def test_only_the_state_folder_is_opened(passable: Path, state_dir: Path) -> None:
    """Others may not enter it, also one of an earlier version; nor is a folder above it opened for Postgres."""
    with postgres.running(state_dir):
        state_dir.chmod(0o755)
    with postgres.running(state_dir):
        assert stat.S_IMODE(state_dir.stat().st_mode) == (0o710 if os.geteuid() == 0 else 0o700)
        assert stat.S_IMODE((state_dir / "postgres").stat().st_mode) == 0o700

    closed = passable / "closed"
    closed.mkdir(mode=0o700)
    if os.geteuid() == 0:
        with pytest.raises(Misconfigured, match=f"chmod o\\+x {closed}"), postgres.running(closed / "state"):
            pass
    else:
        with postgres.running(closed / "state"):
            pass
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_urls_that_the_operator_set_are_left_alone(state_dir: Path) -> None:
    """Only missing variables are set, and they are removed afterwards."""
    theirs = "postgresql://elsewhere/prefect"
    environment = dict(os.environ)
    os.environ |= {"INSTANT_PREFECT_DATABASE_URL": theirs, "INSTANT_DATABASE_URL": ""}
    try:
        config = Settings(mode="sandbox", master_keys="", state_dir=state_dir)
        with postgres.provided(config):
            assert os.environ["INSTANT_PREFECT_DATABASE_URL"] == theirs
            assert os.environ["INSTANT_DATABASE_URL"].startswith("postgresql://instant_app@/instant?host=")
            assert os.environ["INSTANT_OWNER_DATABASE_URL"].startswith("postgresql://instant_owner@/instant?host=")
        assert not {"INSTANT_DATABASE_URL", "INSTANT_OWNER_DATABASE_URL"} & os.environ.keys()

        os.environ |= {"INSTANT_DATABASE_URL": theirs, "INSTANT_PREFECT_DATABASE_URL": ""}
        config = Settings(mode="sandbox", master_keys="", state_dir=state_dir)
        with postgres.provided(config):
            assert os.environ["INSTANT_PREFECT_DATABASE_URL"] == ""
        with postgres.provided(config, with_prefect=True):
            assert os.environ["INSTANT_PREFECT_DATABASE_URL"].startswith("postgresql://prefect@/prefect?host=")
            assert "INSTANT_OWNER_DATABASE_URL" not in os.environ
    finally:
        os.environ.clear()
        os.environ |= environment
