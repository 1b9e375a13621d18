"""The schedules: one run of each at a time, and when it last succeeded. Both are ours to know, not Prefect's.

A slot of Prefect's is given back by the process that holds it, so one that was killed keeps it, and every later run is
cancelled. An advisory lock of Postgres ends with its connection, however that ends.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core import db
from core.db.queries.schedule import sql


@dataclass(frozen=True, slots=True)
class Known:
    """What our database knows of a schedule.

    Attributes:
        deployment_id: the Prefect deployment that its runs come from; None before the first.
        succeeded_at: when a run last succeeded; None before the first.
        age_seconds: since then or, before the first, since it is expected.
    """

    deployment_id: UUID | None
    succeeded_at: datetime | None
    age_seconds: float


@asynccontextmanager
async def alone(name: str) -> AsyncIterator[db.Connection | None]:
    """Be the only run of a schedule while the block runs, on whatever machine.

    Yields:
        The connection that holds the lock, outside the pool; None where another run holds it.
    """
    async with await db.connect() as conn:
        await sql.keep_alive(conn)
        if not await sql.try_lock(conn, name=name):
            yield None
            return
        yield conn
        await sql.unlock(conn, name=name)


async def begin(conn: db.Connection, name: str, *, deployment_id: UUID | None, due: datetime | None) -> bool:
    """Note that a run begins its work, unless there is nothing left to do.

    Args:
        conn: holds the lock.
        name: of the schedule.
        deployment_id: which deployment it comes from; None if somebody called the flow.
        due: when Prefect's schedule meant it to begin; None if somebody started it, who means it.

    Returns:
        False if a run that began after it was due has succeeded.
    """
    return bool(await sql.begin(conn, name=name, deployment_id=deployment_id, due=due))


async def succeed(conn: db.Connection, name: str) -> None:
    """Note that a run came to its end. On the connection that holds the lock: who lost it has not been alone."""
    await sql.succeed(conn, name=name)


async def deployed(conn: db.Connection, deployments: Mapping[str, UUID]) -> None:
    """Note which Prefect deployments are ours, by the schedules' names."""
    for name, deployment_id in deployments.items():
        await sql.deployed(conn, name=name, deployment_id=deployment_id)


async def expect(conn: db.Connection, names: Sequence[str]) -> None:
    """From now on these are missed if they do not succeed, if they were not expected before."""
    await sql.expect(conn, names=list(names))


async def known(conn: db.Connection) -> dict[str, Known]:
    """What is known of all schedules, by name."""
    return {row.name: Known(row.deployment_id, row.succeeded_at, row.age_seconds) async for row in sql.known(conn)}
