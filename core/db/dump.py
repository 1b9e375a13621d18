"""What a backup and a restore need of Postgres beside its own programs: one moment for all, and what is there now."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.rows import namedtuple_row

from core.db.pool import Connection
from core.failures import Misconfigured

# What deployments/roles/instant.sql grants on the schema, which a restore makes anew.
_FRESH_SCHEMA = """
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO instant_app, instant_creator;
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the database that other connections can look at too, while `conn` is open.

    Attributes:
        conn: reads at that moment.
        snapshot: its name, for `pg_dump --snapshot`.
        at: UTC.
        mode: sandbox or live.
        migrations: the ids of those that were applied.
        bytes: the size of the database.
        server: the major version of the server.
    """

    conn: Connection
    snapshot: str
    at: datetime
    mode: str
    migrations: tuple[str, ...]
    bytes: int
    server: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a database before it is restored.

    Attributes:
        server: the major version of the server.
        is_empty: it has no table of any kind.
        missing_roles: roles of ours that the server does not have.
        alive: doors, executors and runs with a heartbeat in the last seconds, such as `door 17 on web-1`.
    """

    server: int
    is_empty: bool
    missing_roles: tuple[str, ...]
    alive: tuple[str, ...]


@asynccontextmanager
async def moment(url: str) -> AsyncIterator[Moment]:
    """Hold one moment of our database for the duration of the block.

    Args:
        url: of the role that owns the tables: row-level security hides rows from others.

    Raises:
        Misconfigured: it is no database of ours, or the role does not own it.
    """
    opened: Connection = await AsyncConnection.connect(url, row_factory=namedtuple_row)
    async with opened as conn:
        await conn.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await conn.set_read_only(True)
        found = await conn.execute(
            "SELECT to_regclass('installation') IS NOT NULL AND to_regclass('_yoyo_migration') IS NOT NULL AS is_ours,"
            " coalesce(pg_has_role((SELECT relowner FROM pg_class WHERE oid = to_regclass('payments')), 'USAGE'),"
            " false) AS is_owned"
        )
        row = await found.fetchone()
        if row is None or not row.is_ours:
            raise Misconfigured("there is nothing to back up: the database was never migrated; run `instant migrate`")
        if not row.is_owned:
            raise Misconfigured(
                "this role does not own the tables, and would not see all rows; set INSTANT_OWNER_DATABASE_URL"
            )
        facts = await conn.execute(
            "SELECT pg_export_snapshot() AS snapshot, now() AS at, (SELECT mode FROM installation) AS mode,"
            " (SELECT array_agg(migration_id ORDER BY migration_id) FROM _yoyo_migration) AS migrations,"
            " pg_database_size(current_database()) AS bytes"
        )
        row = await facts.fetchone()
        if row is None or row.mode is None:
            raise Misconfigured("the database has no mode; run `instant migrate`")
        server = conn.info.server_version // 10_000
        yield Moment(conn, row.snapshot, row.at, row.mode, tuple(row.migrations), row.bytes, server)


def contents(url: str, lease_seconds: float) -> Contents:
    """Look at what is in a database, without changing anything.

    Args:
        url: of the role that owns the database.
        lease_seconds: after how long without a heartbeat a process counts as dead.
    """
    with psycopg.connect(url, autocommit=True) as conn:
        tables = conn.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchone()
        roles = conn.execute(
            "SELECT name FROM unnest(ARRAY['instant_owner', 'instant_app', 'instant_creator']) AS name"
            " WHERE to_regrole(name) IS NULL"
        ).fetchall()
        alive: list[tuple[str]] = []
        if conn.execute("SELECT to_regclass('workers')").fetchone() != (None,):
            alive = conn.execute(
                "SELECT kind || ' ' || pid || ' on ' || host FROM workers WHERE stopped_at IS NULL"
                " AND heartbeat_at > now() - make_interval(secs => %s) ORDER BY 1",
                [lease_seconds],
            ).fetchall()
        return Contents(
            server=conn.info.server_version // 10_000,
            is_empty=tables == (0,),
            missing_roles=tuple(name for (name,) in roles),
            alive=tuple(name for (name,) in alive),
        )


def empty(url: str) -> None:
    """Drop everything in the database, in one transaction, and leave an empty schema with the grants of our roles."""
    with psycopg.connect(url) as conn:
        for statement in filter(None, map(str.strip, _FRESH_SCHEMA.split(";"))):
            conn.execute(statement.encode())
