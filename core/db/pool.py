"""Open the connection pool: its outermost user opens it, and everything inside shares it.

The door opens one for its lifetime, and the flows it runs share it; a flow in a worker process opens its own.
"""

import asyncio
import logging
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, IsolationLevel, OperationalError, ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import namedtuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from core.failures import Misconfigured
from core.settings import Settings, settings

log = logging.getLogger(__name__)
R = TypeVar("R")

_RETRY_SECONDS = 0.5

# Errors while Postgres cannot be reached. Only these are worth a retry.
UNREACHABLE = (OperationalError, PoolTimeout)

Connection = AsyncConnection[Any]
Pool = AsyncConnectionPool[Connection]

# An async pool belongs to one event loop; a process that runs two loops has two pools.
_open_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()


@asynccontextmanager
async def pool() -> AsyncIterator[Pool]:
    """Yield the pool of this event loop. It is opened and closed here unless an outer caller has opened it."""
    loop = asyncio.get_running_loop()
    if shared := _open_pools.get(loop):
        yield shared
        return
    config = settings()
    async with AsyncConnectionPool(
        database_url(config),
        kwargs={"row_factory": namedtuple_row, "prepare_threshold": 1},
        configure=_plan_once,
        min_size=2,
        max_size=config.pool_size,
        open=False,
        check=_check,
        timeout=10,
        name="instant",
    ) as opened:
        _open_pools[loop] = opened
        try:
            yield opened
        finally:
            del _open_pools[loop]


async def _plan_once(conn: Connection) -> None:
    """Let Postgres plan a prepared statement once for all parameters.

    By default it plans the first five executions on each connection anew, and to plan a version's readiness costs
    more than ten executions of it. `snapshot` sets the opposite.
    """
    await conn.set_autocommit(True)
    await conn.execute("SET plan_cache_mode = force_generic_plan")
    await conn.set_autocommit(False)


async def _check(conn: Connection) -> None:
    """Probe a connection only if its socket is readable: an idle one becomes readable when the server closes it."""
    to_read = select.poll()
    to_read.register(conn.fileno(), select.POLLIN)
    if not to_read.poll(0):
        return
    try:
        await AsyncConnectionPool.check_connection(conn)
    except OperationalError:
        # The server seldom closes only one connection, and the pool would probe the others with growing pauses.
        if shared := _open_pools.get(asyncio.get_running_loop()):
            await shared.check()
        raise


@asynccontextmanager
async def autocommit(shared: Pool, *, patience: float | None = None) -> AsyncIterator[Connection]:
    """Yield a connection in autocommit mode, which saves the two round trips of a transaction.

    Args:
        shared: the pool.
        patience: seconds to wait for a connection; None: the pool's timeout.
    """
    async with shared.connection(patience) as conn:
        await conn.set_autocommit(True)
        try:
            yield conn
        finally:
            if not conn.closed:
                await conn.set_autocommit(False)


@asynccontextmanager
async def transaction() -> AsyncIterator[Connection]:
    """Yield a connection of the shared pool in a transaction: committed at the end, rolled back by an exception."""
    async with pool() as shared, shared.connection() as conn:
        yield conn


@asynccontextmanager
async def snapshot(shared: Pool) -> AsyncIterator[Connection]:
    """Yield a read-only connection whose queries all see the database at one moment.

    Postgres plans each query for its own period: a plan for every period would read the whole log.
    """
    async with shared.connection() as conn:
        await conn.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await conn.set_read_only(True)
        try:
            async with conn.transaction():
                await conn.execute("SET LOCAL plan_cache_mode = force_custom_plan")
                yield conn
        finally:
            await conn.set_isolation_level(None)
            await conn.set_read_only(None)


async def act_for(conn: Connection, account_id: UUID) -> None:
    """For the rest of this transaction, see and change nothing but what belongs to this account, and the catalog.

    The policies of the tables hold that, whatever a query says (docs/decisions/0022).
    """
    await conn.execute(
        "SELECT set_config('role', 'instant_creator', true) AS role,"
        " set_config('instant.account_id', %s, true) AS account_id",
        [str(account_id)],
    )


@asynccontextmanager
async def acting_for(shared: Pool, account_id: UUID) -> AsyncIterator[Connection]:
    """Yield a connection in a transaction that acts for an account; it ends as in `transaction`."""
    async with shared.connection() as conn:
        await act_for(conn, account_id)
        yield conn


async def run_in_autocommit(
    shared: Pool, action: Callable[[Connection], Awaitable[R]], *, patience: float | None = None
) -> R:
    """Run `action` in autocommit mode: one statement, or an action with its own transaction. It is not retried."""
    async with autocommit(shared, patience=patience) as conn:
        return await action(conn)


async def retry_until_committed(shared: Pool, action: Callable[[Connection], Awaitable[R]]) -> R:
    """Run `action` in a transaction, and retry while Postgres cannot be reached.

    For outcomes that are stored nowhere else yet: money that moved, an answer that arrived. The action must be
    repeatable, because a connection may be lost after its commit.

    Raises:
        PoolClosed: the pool was closed, and nothing opens it again.
    """
    while True:
        try:
            async with shared.connection() as conn:
                return await action(conn)
        except UNREACHABLE as error:
            if shared.closed:
                raise
            log.warning("database: out of reach (%s), an outcome waits to be written", type(error).__name__)
        await asyncio.sleep(_RETRY_SECONDS)


async def connect() -> Connection:
    """Open a connection outside the pool, in autocommit mode, for LISTEN and session locks."""
    return await AsyncConnection.connect(database_url(settings()), autocommit=True, row_factory=namedtuple_row)


def database_url(config: Settings) -> str:
    """Return the libpq URL of our Postgres.

    Raises:
        Misconfigured: it is not set, or libpq cannot read it. The `instant` command starts the embedded Postgres and
            sets it.
    """
    if config.database_url is None:
        raise Misconfigured("INSTANT_DATABASE_URL is not set; `instant env` prints the embedded one's")
    return _checked("INSTANT_DATABASE_URL", config.database_url.get_secret_value())


def owner_database_url(config: Settings) -> str:
    """Return the libpq URL of our Postgres for migrations: the owner's, or that of everything else.

    Raises:
        Misconfigured: neither is set, or libpq cannot read it.
    """
    if config.owner_database_url is None:
        return database_url(config)
    return _checked("INSTANT_OWNER_DATABASE_URL", config.owner_database_url.get_secret_value())


def _checked(name: str, url: str) -> str:
    """Return what libpq can read. Its own error shows the whole text, with the password."""
    try:
        conninfo_to_dict(url)
    except ProgrammingError:
        is_readable = False
    else:
        is_readable = True
    if not is_readable:
        raise Misconfigured(f"{name} must be a URL that begins with postgresql://")
    return url
