"""The role of doors, executors and flows: what it may not do. The whole suite runs with it."""

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from core import db
from core.db.migrate import migrate
from core.failures import Misconfigured
from core.settings import settings
from tests import servers


async def test_it_is_bare(database: str) -> None:
    """The settings of the suite name a role that is no superuser, owns nothing and makes nothing."""
    async with db.pool() as pool, pool.connection() as conn:
        who = await conn.execute(
            "SELECT current_user::text, rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls,"
            " (SELECT count(*) FROM pg_class WHERE relowner = pg_roles.oid) FROM pg_roles WHERE rolname = current_user"
        )
        assert tuple(await who.fetchone()) == ("instant_app", False, 0)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id integer)",
        "ALTER TABLE payments ADD COLUMN mine integer",
        "DROP TABLE usage_log_default",
        "TRUNCATE payments",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE payments DISABLE TRIGGER ALL",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE ROLE mine",
    ],
)
async def test_what_it_may_not(database: str, statement: str) -> None:
    """No change of the schema, no file and no program, so that a hole in a query is no hole in the machine."""
    async with db.pool() as pool, pool.connection() as conn:
        with pytest.raises(InsufficientPrivilege):
            await conn.execute(statement.encode())
        await conn.rollback()


async def test_a_temporary_table_deceives_no_owner(own_database: str) -> None:
    """The functions that make and drop months have their owner's rights, and look nowhere but at our own tables."""
    with psycopg.connect(own_database, autocommit=True) as conn:
        conn.execute("SET ROLE instant_app")
        made = conn.execute("SELECT make_usage_month('2024-03-05Z')").fetchone()
        conn.execute("RESET ROLE")
        owners = conn.execute(
            "SELECT count(*), min(tableowner), max(tableowner) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
        conn.execute("CREATE TEMPORARY TABLE usage_log_2024_03 (id integer)")
        conn.execute("SET ROLE instant_app")
        dropped = conn.execute("SELECT drop_usage_month('2024-03-05Z')").fetchone()
        conn.execute("RESET ROLE")
        left = conn.execute("SELECT to_regclass('public.usage_log_2024_03'), to_regclass('pg_temp.usage_log_2024_03')")

        assert made == (True,)
        assert owners is not None
        assert owners[1:] == ("instant_owner", "instant_owner")
        assert dropped == (0,)
        assert left.fetchone() == (None, "usage_log_2024_03")


def test_it_does_not_migrate(postgres: str, empty_database: str) -> None:
    """`instant migrate` with this role says which setting is missing."""
    with servers.database(postgres, "bare") as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        with pytest.raises(Misconfigured, match="INSTANT_OWNER_DATABASE_URL"):
            migrate(servers.as_role(url, "instant_app"), settings().mode)
