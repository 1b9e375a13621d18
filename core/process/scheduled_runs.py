"""Run each schedule at most once at a time, and record its last success. Postgres decides this, not Prefect.

In Prefect, the process that holds a concurrency slot has to return it, so a killed process blocks every later run. A
Postgres advisory lock ends with its connection, however that ends.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core import db
from core.db.queries.schedule import sql


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """What our database records about a schedule.

    Attributes:
        deployment_id: the Prefect deployment of its runs; None before the first run.
        succeeded_at: the last success; None before the first.
        age_seconds: the time since then or, before the first success, since it was first expected.
    """

    deployment_id: UUID | None
    succeeded_at: datetime | None
    age_seconds: float


@asynccontextmanager
async def hold_lock(name: str) -> AsyncIterator[db.Connection | None]:
    """Hold the lock of a schedule for the duration of the block, across all machines.

    Yields:
        The connection that holds the lock, outside the pool; None if another run holds it.
    """
    async with await db.connect() as conn:
        await sql.keep_alive(conn)
        if not await sql.try_lock(conn, name=name):
            yield None
            return
        yield conn
        await sql.unlock(conn, name=name)


async def begin(conn: db.Connection, name: str, *, deployment_id: UUID | None, due: datetime | None) -> bool:
    """Record that a run begins, unless a later run has already done its work.

    Args:
        conn: the connection that holds the lock.
        name: the schedule.
        deployment_id: the run's deployment; None if the flow was called directly.
        due: the time that Prefect scheduled it for; None if somebody started it by hand, which always runs.

    Returns:
        False if a run that began after `due` has succeeded.
    """
    return bool(await sql.begin(conn, name=name, deployment_id=deployment_id, due=due))


async def succeed(conn: db.Connection, name: str) -> None:
    """Record a success on the connection that holds the lock. A run that lost its lock cannot record one."""
    await sql.succeed(conn, name=name)


async def deployed(conn: db.Connection, deployments: Mapping[str, UUID]) -> None:
    """Record which Prefect deployments belong to our schedules."""
    for name, deployment_id in deployments.items():
        await sql.deployed(conn, name=name, deployment_id=deployment_id)


async def expect(conn: db.Connection, names: Sequence[str]) -> None:
    """Expect these schedules to succeed from now on, unless they were expected before."""
    await sql.expect(conn, names=list(names))


async def records(conn: db.Connection) -> dict[str, ScheduleRecord]:
    """Return the records of all schedules by name."""
    return {
        row.name: ScheduleRecord(row.deployment_id, row.succeeded_at, row.age_seconds) async for row in sql.known(conn)
    }
