"""The role of doors, executors and flows: what it may not do. The whole suite runs with it."""

from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from core import db
from core.db.migrate import migrate
from core.failures import Misconfigured
from core.settings import settings
from tests import servers
from tests.shops import open_shop


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


async def test_every_table_of_creators_has_policies(database: str) -> None:
    """A table with an account, or whose rows belong to a row with one, shows a creator only its own."""
    async with db.pool() as pool, pool.connection() as conn:
        rows = await conn.execute(
            """
            WITH RECURSIVE owned AS (
                SELECT attrelid AS id FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                WHERE attname = 'account_id' AND relkind IN ('r', 'p') AND NOT relispartition
                UNION SELECT to_regclass('accounts')
                UNION SELECT conrelid FROM pg_constraint JOIN owned ON confrelid = owned.id
                WHERE contype = 'f' AND NOT (SELECT relispartition FROM pg_class WHERE oid = conrelid)
            )
            SELECT id::regclass::text, has_table_privilege('instant_creator', id, 'SELECT'), relrowsecurity,
                (SELECT count(*) FROM pg_policy WHERE polrelid = id)
            FROM owned JOIN pg_class ON oid = id
            """
        )
        tables = {name: (visible, secured, policies) for name, visible, secured, policies in await rows.fetchall()}

    assert len(tables) >= 20
    assert {name: row for name, row in tables.items() if row[0] and row[1:] != (True, 2)} == {}


async def test_a_creator_sees_only_its_own(database: str, practice_openrouter: str) -> None:
    """Queries without any `WHERE`: one creator's rows, of two who sell; nothing without an account."""
    tables = ("accounts", "provider_keys", "payout_addresses", "resources", "resource_versions", "api_tokens")
    async with db.pool() as pool:
        mine, theirs = [(await open_shop(pool)).account.id for _ in range(2)]

        async def seen(account_id: UUID) -> list[int]:
            async with db.acting_for(pool, account_id) as conn:
                counts = [await conn.execute(b"SELECT count(*) FROM " + table.encode()) for table in tables]
                return [number for count in counts for (number,) in await count.fetchall()]

        assert (
            await seen(mine)
            == await seen(theirs)
            == [len(settings().networks) if "payout" in table else 1 for table in tables]
        )
        assert await seen(uuid4()) == [0] * len(tables)
        async with db.acting_for(pool, mine) as conn:
            for statement in (
                b"UPDATE resources SET slug = 'stolen' WHERE account_id = %s",
                b"UPDATE resource_versions SET title = 'stolen' FROM resources"
                b" WHERE resources.id = resource_id AND account_id = %s",
                b"DELETE FROM provider_keys WHERE account_id = %s",
            ):
                assert (await conn.execute(statement, [theirs])).rowcount == 0
            with pytest.raises(InsufficientPrivilege, match="row-level security"):
                await conn.execute(b"INSERT INTO payout_addresses VALUES (%s, 'eip155:1', '0x1')", [theirs])
            await conn.rollback()
        async with pool.connection() as conn:
            who = await conn.execute("SELECT current_user::text, current_setting('instant.account_id', true) AS acting")
            assert await who.fetchone() == ("instant_app", "")


@pytest.mark.parametrize("table", ["workers", "payment_aliases", "payment_transitions", "installation", "schedules"])
async def test_what_a_creator_may_not_see(database: str, table: str) -> None:
    """What belongs to the operator, or to buyers."""
    async with db.pool() as pool, db.acting_for(pool, uuid4()) as conn:
        with pytest.raises(InsufficientPrivilege):
            await conn.execute(b"SELECT FROM " + table.encode())
        await conn.rollback()
