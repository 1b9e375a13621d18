"""Connections of the pool: alive when a caller gets them, and without state of the previous user."""

from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from psycopg import AsyncConnection, OperationalError
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolClosed
from pydantic import SecretStr

from core import db
from core.db.pool import database_url, owner_database_url
from core.failures import Misconfigured
from core.settings import Settings, settings

CONNECTIONS = 8  # at which looking at one after the other would take longer than anybody waits


async def test_what_postgres_closed_is_not_handed_out(database: str) -> None:
    """Connections that Postgres closed while they were idle in the pool are replaced unnoticed."""
    async with db.pool() as pool, await AsyncConnection.connect(database) as other:
        async with AsyncExitStack() as stack:
            held = [await stack.enter_async_context(pool.connection()) for _ in range(CONNECTIONS)]
            lost = [conn.info.backend_pid for conn in held]
        await other.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) AS pid", [lost])

        for _ in range(CONNECTIONS):
            async with pool.connection() as conn:
                assert conn.info.backend_pid not in lost
                await conn.execute("SELECT 1")


async def test_looking_takes_no_transaction(database: str) -> None:
    """`autocommit` opens no transaction; the next user of the connection is in one again."""
    async with db.pool() as pool:
        async with db.autocommit(pool) as conn:
            await conn.execute("SELECT 1")
            assert conn.info.transaction_status == TransactionStatus.IDLE
        async with pool.connection() as again:
            await again.execute("SELECT 1")
            assert again.info.transaction_status == TransactionStatus.INTRANS


async def test_a_look_that_is_cut_off_says_so(database: str) -> None:
    """A connection that breaks under `autocommit` raises the error of an unreachable database."""
    async with db.pool() as pool, await AsyncConnection.connect(database) as other:

        async def look() -> None:
            async with db.autocommit(pool) as conn:
                await other.execute("SELECT pg_terminate_backend(%s, 5000)", [conn.info.backend_pid])
                await conn.execute("SELECT 1")

        with pytest.raises(OperationalError):
            await look()


async def test_nothing_waits_for_a_closed_pool(database: str) -> None:
    """What is retried until it commits fails once its pool is closed, instead of retrying for ever."""

    async def write(conn: db.Connection) -> None:
        await conn.execute("SELECT 1")

    async with db.pool() as pool:
        await db.retry_until_committed(pool, write)
    with pytest.raises(PoolClosed):
        await db.retry_until_committed(pool, write)


async def test_a_statement_is_planned_once(database: str) -> None:
    """Short queries are never planned for their parameters; a snapshot's queries, which read periods, always are."""
    statement = "SELECT count(*) FROM models WHERE id = %s"
    planned = "SELECT generic_plans > 0 AND custom_plans = 0 AS once FROM pg_prepared_statements WHERE statement = %s"
    async with db.pool() as pool:
        async with db.autocommit(pool) as conn:
            for number in range(3):
                await conn.execute(statement, [str(number)])
            assert await (await conn.execute(planned, [statement.replace("%s", "$1")])).fetchone() == (True,)
        async with db.snapshot(pool) as conn:
            plans = await (await conn.execute("SHOW plan_cache_mode")).fetchone()
            assert plans == ("force_custom_plan",)
        async with pool.connection() as conn:
            plans = await (await conn.execute("SHOW plan_cache_mode")).fetchone()
            assert plans == ("force_generic_plan",)


_READERS = {"database_url": database_url, "owner_database_url": owner_database_url}


@pytest.mark.parametrize(("field", "read"), _READERS.items())
def test_what_libpq_cannot_read_is_not_shown(database: str, field: str, read: Callable[[Settings], str]) -> None:
    """The setting is named, and nothing of it is shown: it holds a password."""
    misspelt = settings().model_copy(update={field: SecretStr("postgresql//somebody:hidden@host/name")})
    with pytest.raises(Misconfigured, match=f"INSTANT_{field.upper()} must be a URL") as wrong:
        read(misspelt)
    assert wrong.value.__context__ is None
    assert "hidden" not in str(wrong.value)
