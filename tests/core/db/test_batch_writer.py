"""Group commit: concurrent writes are committed together, and each caller gets only its own error."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import psycopg
import pytest

from core import db
from core.failures import Unavailable


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        async with opened.connection() as conn:
            await conn.execute("SET LOCAL ROLE instant_owner")
            await conn.execute("CREATE TABLE written (number integer CHECK (number > 0), transaction bigint)")
        yield opened


async def write(conn: db.Connection, numbers: Sequence[int]) -> list[int]:
    """Write all numbers or none; the result of each is its double."""
    query = "INSERT INTO written SELECT number, txid_current() FROM unnest(%s::integer[]) AS number"
    await conn.execute(query, [list(numbers)])
    return [2 * number for number in numbers]


async def once(pool: db.Pool, write: Callable[[db.Connection], Awaitable[Sequence[int]]]) -> Sequence[int]:
    async with pool.connection() as conn:
        return await write(conn)


async def rows(pool: db.Pool) -> list[tuple[int, int]]:
    async with pool.connection() as conn:
        found = await conn.execute("SELECT number, transaction FROM written ORDER BY number")
        return [tuple(row) for row in await found.fetchall()]


async def test_what_comes_during_a_write_is_one_transaction(pool: db.Pool) -> None:
    """The first item is written at once and alone, the others together after it, each with its own result."""
    group = db.BatchWriter(write, once)
    made = await asyncio.gather(*(group.add(pool, number) for number in range(1, 21)))

    written = await rows(pool)
    assert made == [2 * number for number in range(1, 21)]
    assert [number for number, _ in written] == list(range(1, 21))
    assert len({transaction for _, transaction in written}) <= 2


async def test_one_that_cannot_be_written_fails_alone(pool: db.Pool) -> None:
    """If one item cannot be written, the others are committed, and only its own caller gets the error."""
    group = db.BatchWriter(write, once)
    made = await asyncio.gather(*(group.add(pool, number) for number in (1, 2, -3, 4)), return_exceptions=True)

    assert [type(one) for one in made] == [int, int, psycopg.errors.CheckViolation, int]
    assert [number for number, _ in await rows(pool)] == [1, 2, 4]


async def test_one_that_is_refused_fails_alone(pool: db.Pool) -> None:
    """A refusal of ours fails only its own items, of which there may be many in one group."""

    async def room_for_small_ones(conn: db.Connection, numbers: Sequence[int]) -> list[int]:
        made = await write(conn, numbers)
        if max(numbers) > 10:
            raise Unavailable("queue_full")
        return made

    group = db.BatchWriter(room_for_small_ones, once)
    made = await asyncio.gather(*(group.add(pool, number) for number in (1, 2, 30, 4)), return_exceptions=True)

    assert [type(one) for one in made] == [int, int, Unavailable, int]
    assert [number for number, _ in await rows(pool)] == [1, 2, 4]


async def test_one_that_breaks_the_code_fails_alone(pool: db.Pool) -> None:
    """An exception that nobody foresaw fails only its own item too."""

    async def no_three(conn: db.Connection, numbers: Sequence[int]) -> list[int]:
        return await write(conn, [{1: 1, 2: 2, 4: 4}[number] for number in numbers])

    group = db.BatchWriter(no_three, once)
    made = await asyncio.gather(*(group.add(pool, number) for number in (1, 2, 3, 4)), return_exceptions=True)

    assert [type(one) for one in made] == [int, int, KeyError, int]
    assert [number for number, _ in await rows(pool)] == [1, 2, 4]


async def test_who_is_cancelled_stops_nobody(pool: db.Pool) -> None:
    """Cancelling one caller stops neither the others of the group nor a write that has begun."""
    started, may_end = asyncio.Event(), asyncio.Event()

    async def slowly(pool: db.Pool, write: Callable[[db.Connection], Awaitable[Sequence[int]]]) -> Sequence[int]:
        started.set()
        await may_end.wait()
        return await once(pool, write)

    group = db.BatchWriter(write, slowly)
    leaving, staying = (asyncio.create_task(group.add(pool, number)) for number in (1, 2))
    await started.wait()
    leaving.cancel()
    await asyncio.wait({leaving})
    may_end.set()

    assert await staying == 4
    assert leaving.cancelled()
    assert [number for number, _ in await rows(pool)] == [1, 2]


async def test_who_cannot_be_reached_is_said_to_all(pool: db.Pool) -> None:
    """A lost connection fails all callers of the group: it is not retried item by item."""
    tries = 0

    async def lost(pool: db.Pool, write: Callable[[db.Connection], Awaitable[Sequence[int]]]) -> Sequence[int]:
        nonlocal tries
        tries += 1
        raise psycopg.OperationalError

    group = db.BatchWriter(write, lost)
    made = await asyncio.gather(*(group.add(pool, number) for number in (1, 2, 3)), return_exceptions=True)
    assert [type(one) for one in made] == [psycopg.OperationalError] * 3
    assert tries <= 2
