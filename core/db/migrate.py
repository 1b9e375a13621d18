"""Bring the schema up to date and stamp the database's mode."""

from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg.errors import InsufficientPrivilege
from yoyo import get_backend, read_migrations

from core.failures import Misconfigured
from core.settings import Mode

MIGRATIONS = Path(__file__).parent / "migrations"

# An arbitrary key of ours. The lock is held while migrating, so that two processes migrate one after the other.
_MIGRATING = 402_402


def migrate(database_url: str, mode: Mode) -> list[str]:
    """Apply the missing migrations in order, and stamp or check the mode.

    Args:
        database_url: a libpq URL of the role that owns the tables, or will own them.
        mode: the mode of this database, for ever.

    Returns:
        The ids of the migrations that were applied now.

    Raises:
        Misconfigured: the database was stamped with the other mode, or the role may not change the schema.
    """
    try:
        return _migrate(database_url, mode)
    except InsufficientPrivilege:
        pass
    raise Misconfigured(
        "this role may not change the schema; `instant migrate` needs the owner's URL in INSTANT_OWNER_DATABASE_URL"
    )


def _migrate(database_url: str, mode: Mode) -> list[str]:
    with psycopg.connect(database_url, autocommit=True) as conn:
        # Asked first, because yoyo goes on when it could not make its tables.
        if conn.execute("SELECT has_schema_privilege(current_schema(), 'CREATE')").fetchone() != (True,):
            raise InsufficientPrivilege
        if conn.execute("SELECT to_regrole('instant_creator') IS NOT NULL").fetchone() != (True,):
            raise Misconfigured("the role instant_creator is missing; run deployments/roles/instant.sql as a superuser")
        conn.execute("SELECT pg_advisory_lock(%s)", [_MIGRATING])
        backend = get_backend(urlsplit(database_url)._replace(scheme="postgresql+psycopg").geturl())
        try:
            # yoyo's own lock is a row that a killed process leaves behind; ours ends with its connection.
            backend.break_lock()
            missing = backend.to_apply(read_migrations(str(MIGRATIONS)))
            backend.apply_migrations(missing)
        finally:
            backend.connection.close()
        conn.execute("INSERT INTO installation (mode) VALUES (%s) ON CONFLICT DO NOTHING", [mode])
        check_mode(conn, mode)
    return [migration.id for migration in missing]


def require_up_to_date(database_url: str, mode: Mode) -> None:
    """Refuse a database that lacks a migration, has the other mode or may not be read. Changes nothing.

    Raises:
        Misconfigured: its sentence says what to do.
    """
    try:
        return _require_up_to_date(database_url, mode)
    except InsufficientPrivilege:
        pass
    raise Misconfigured("this role may not read our tables; run deployments/roles/instant.sql as a superuser")


def _require_up_to_date(database_url: str, mode: Mode) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        applied = conn.execute("SELECT to_regclass('_yoyo_migration') IS NOT NULL").fetchone()
        rows = conn.execute("SELECT migration_id FROM _yoyo_migration").fetchall() if applied == (True,) else []
        required = {migration.id for migration in read_migrations(str(MIGRATIONS))}
        if not required <= {row[0] for row in rows}:
            raise Misconfigured("the database is not up to date; run `instant migrate`")
        check_mode(conn, mode)


def check_mode(conn: psycopg.Connection[tuple[str]], mode: Mode) -> None:
    """Refuse a database of the other mode.

    Raises:
        Misconfigured: the stamp names the other mode.
    """
    stamped = conn.execute("SELECT mode FROM installation").fetchone()
    if stamped != (mode,):
        raise Misconfigured(f"this database is for INSTANT_MODE={stamped and stamped[0]}, not {mode}; use another one")
