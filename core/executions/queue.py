"""The queue of executions: launchers claim batches from it and release what they could not finish.

Functions take `conn` and do not commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from core import db
from core.db.queries.execution import sql
from core.observability import metrics
from core.settings import settings


@dataclass(frozen=True, slots=True)
class Batch:
    """The executions of one flow run."""

    id: UUID
    execution_ids: list[UUID]


async def claim(conn: db.Connection, worker_id: UUID, most: int, *, alone_first: bool = False) -> Batch | None:
    """Claim up to `most` queued executions for one flow run; None if none can be claimed.

    Creators are served in turn. The slots of each creator and of each process are limited. An execution that was taken
    over twice gets a batch of its own.

    Args:
        conn: one transaction.
        worker_id: the launcher.
        most: the largest batch.
        alone_first: look first for an execution that needs a batch of its own. Launchers alternate, so that neither
            kind waits for ever while the other keeps coming.
    """
    await sql.lock_claims(conn)
    batch_id = uuid4()
    for alone in (alone_first, not alone_first):
        if ids := await _claim(conn, worker_id, batch_id, 1 if alone else most, alone=alone):
            await sql.begin_batch(conn, id=batch_id, worker_id=worker_id)
            return Batch(batch_id, ids)
    return None


async def top_up(conn: db.Connection, batch: Batch, worker_id: UUID, most: int) -> Batch:
    """Add executions that were queued since the claim, so that they start with this run and not with the next.

    Args:
        conn: one transaction.
        batch: the batch that the run was started with.
        worker_id: the process that runs it.
        most: the largest batch.
    """
    room = most - len(batch.execution_ids)
    if room <= 0 or not await sql.may_top_up(conn, batch_id=batch.id, ids=batch.execution_ids):
        return batch
    await sql.lock_claims(conn)
    return Batch(batch.id, batch.execution_ids + await _claim(conn, worker_id, batch.id, room, alone=False))


async def count(conn: db.Connection, batch: Batch, worker_id: UUID) -> int:
    """Count the unfinished executions of a batch, with those that joined it."""
    return await sql.count_of_batch(conn, batch_id=batch.id, worker_id=worker_id)


async def _claim(conn: db.Connection, worker_id: UUID, batch_id: UUID, most: int, *, alone: bool) -> list[UUID]:
    config = settings()
    rows = sql.claim(
        conn,
        worker_id=worker_id,
        batch_id=batch_id,
        alone=alone,
        most=most,
        send_limit=config.send_limit,
        takeover_limit=config.takeover_limit,
        call_limit=config.call_limit,
    )
    return [row.id async for row in rows]


async def release(conn: db.Connection, batch: Batch, worker_id: UUID) -> list[UUID]:
    """Close a run's batch. Its unfinished executions return to the queue, unless another process owns them now."""
    await sql.end_batch(conn, id=batch.id, worker_id=worker_id)
    released = [row.id async for row in sql.release(conn, batch_id=batch.id, worker_id=worker_id)]
    if released:
        metrics.returned("launcher", len(released))
        await sql.notify_queued(conn)
    return released


async def orphaned(conn: db.Connection, batches: Sequence[Batch]) -> set[UUID]:
    """Return the ids of those batches whose owner no longer exists."""
    batch_ids, first_ids = [batch.id for batch in batches], [batch.execution_ids[0] for batch in batches]
    return {row.id async for row in sql.orphaned(conn, batch_ids=batch_ids, execution_ids=first_ids)}
