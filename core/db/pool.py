"""The connection pool: opened by its outermost user, shared by everyone inside.

The door opens it for its lifetime and the flows it runs share it; a flow on a worker of its own opens its own.
"""

import asyncio
import logging
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, IsolationLevel, OperationalError
from psycopg.rows import namedtuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from core.failures import Misconfigured
from core.settings import Settings, settings

log = logging.getLogger(__name__)
R = TypeVar("R")

_INSIST_SECONDS = 0.5

# What is raised while Postgres cannot be reached: worth another try, unlike everything else.
UNREACHABLE = (OperationalError, PoolTimeout)

Connection = AsyncConnection[Any]
Pool = AsyncConnectionPool[Connection]

# An async pool belongs to one event loop; a process that runs two loops has two pools.
_open_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()


@asynccontextmanager
async def pool() -> AsyncIterator[Pool]:
    """The pool of this event loop; opened and closed here unless somebody further out did."""
    loop = asyncio.get_running_loop()
    if shared := _open_pools.get(loop):
        yield shared
        return
    config = settings()
    async with AsyncConnectionPool(
        database_url(config),
        kwargs={"row_factory": namedtuple_row},
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


async def _check(conn: Connection) -> None:
    """Probe a connection only if its socket is readable: an idle one becomes readable when the server closes it."""
    to_read = select.poll()
    to_read.register(conn.fileno(), select.POLLIN)
    if not to_read.poll(0):
        return
    try:
        await AsyncConnectionPool.check_connection(conn)
    except OperationalError:
        # It seldom closes only one, and the pool would look at the next after a second, then two, four and so on.
        if shared := _open_pools.get(asyncio.get_running_loop()):
            await shared.check()
        raise


@asynccontextmanager
async def autocommit(shared: Pool, *, patience: float | None = None) -> AsyncIterator[Connection]:
    """A connection whose statements each stand for themselves, which saves the two trips of a transaction.

    Args:
        shared: where it comes from.
        patience: seconds to wait for it; by default as long as for any other.
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
    """A connection of the shared pool in one transaction: committed at the end, rolled back by an exception."""
    async with pool() as shared, shared.connection() as conn:
        yield conn


@asynccontextmanager
async def snapshot(shared: Pool) -> AsyncIterator[Connection]:
    """A connection whose queries all see the database as of one moment, and cannot change it."""
    async with shared.connection() as conn:
        await conn.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await conn.set_read_only(True)
        try:
            async with conn.transaction():
                yield conn
        finally:
            await conn.set_isolation_level(None)
            await conn.set_read_only(None)


async def run_in_autocommit(
    shared: Pool, action: Callable[[Connection], Awaitable[R]], *, patience: float | None = None
) -> R:
    """Do `action`, which is one statement or begins a transaction itself, where nothing is lost if it fails."""
    async with autocommit(shared, patience=patience) as conn:
        return await action(conn)


async def retry_until_committed(shared: Pool, action: Callable[[Connection], Awaitable[R]]) -> R:
    """Do `action` in a transaction, and again until Postgres can be reached.

    For outcomes that exist nowhere else yet: money that moved, an answer that arrived. The action must be repeatable,
    because a connection may be lost after its commit.
    """
    while True:
        try:
            async with shared.connection() as conn:
                return await action(conn)
        except UNREACHABLE as error:
            log.warning("database: out of reach (%s), an outcome waits to be written", type(error).__name__)
        await asyncio.sleep(_INSIST_SECONDS)


async def connect() -> Connection:
    """A connection outside the pool in autocommit mode, for LISTEN."""
    return await AsyncConnection.connect(database_url(settings()), autocommit=True, row_factory=namedtuple_row)


def database_url(config: Settings) -> str:
    """Where our Postgres is, as a libpq URL.

    Raises:
        Misconfigured: if nobody said so. The `instant` command starts the embedded Postgres and says so itself.
    """
    if config.database_url is None:
        raise Misconfigured("INSTANT_DATABASE_URL is not set; `instant env` prints the embedded one's")
    return config.database_url.get_secret_value()
