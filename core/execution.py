"""An execution's life: held -> queued -> running -> succeeded | failed | declined, or void.

What happens while it runs is in `core/instant_execution.py`. Functions take `conn` and do not commit.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from core import db, media, metrics, resource, usage
from core.db import listen
from core.settings import settings
from core.vault import vault

sql = db.load("execution")

# At rest: nothing changes any more unless somebody asks for a re-run.
REST = ("succeeded", "failed", "declined", "void")


@dataclass(frozen=True, slots=True)
class Batch:
    """What one flow run shall carry."""

    id: UUID
    execution_ids: list[UUID]


@dataclass(frozen=True, slots=True)
class New:
    """What shall run.

    Attributes:
        version: what was sold.
        inputs: validated inputs.
        payment_id: the payment it waits for; None is the owner's free test, which is queued at once.
        id: a fresh one.
    """

    version: resource.Version
    inputs: dict[str, str]
    payment_id: UUID | None = None
    id: UUID = field(default_factory=uuid4)

    def sealed_inputs(self) -> bytes:
        """Its inputs, as they are kept."""
        plain = json.dumps(self.inputs).encode()
        return vault().seal(plain, account=self.version.account_id, column="executions.sealed_inputs", row=self.id)


async def create(conn: db.Connection, created: Sequence[New]) -> None:
    """Record what shall run, with its worst-case cost reserved.

    Args:
        conn: the transaction of the claim.
        created: what shall run.

    Raises:
        Unavailable: when a creator's spend cap or queue has no room; the transaction must roll back.
    """
    await sql.create(
        conn,
        ids=[one.id for one in created],
        payment_ids=[one.payment_id for one in created],
        account_ids=[one.version.account_id for one in created],
        version_ids=[one.version.version_id for one in created],
        sealed_inputs=[one.sealed_inputs() for one in created],
    )
    await usage.reserve(conn, [usage.Round(one.id, 1, one.version.worst_cost_usd) for one in created])
    if any(one.payment_id is None for one in created):
        await sql.notify_queued(conn)


async def claim(conn: db.Connection, worker_id: UUID, most: int, *, alone_first: bool = False) -> Batch | None:
    """Take up to `most` queued executions for one flow run; None when there is nothing to do.

    Creators take turns, each has a bounded number of slots, so has each process, and what was taken over twice comes
    alone.

    Args:
        conn: one transaction.
        worker_id: the launcher.
        most: how many one run may carry.
        alone_first: look for one that runs alone first. Launchers do so every other time, so that neither kind waits
            for ever while the other keeps coming.
    """
    await sql.lock_claims(conn)
    batch_id = uuid4()
    for alone in (alone_first, not alone_first):
        if ids := await _claim(conn, worker_id, batch_id, 1 if alone else most, alone=alone):
            await sql.begin_batch(conn, id=batch_id, worker_id=worker_id)
            return Batch(batch_id, ids)
    return None


async def grow(conn: db.Connection, batch: Batch, worker_id: UUID, most: int) -> Batch:
    """The batch with what was queued since it was claimed: its run begins now, and the next one would begin later.

    Args:
        conn: one transaction.
        batch: what the run was started for.
        worker_id: the process that carries it.
        most: how many one run may carry.
    """
    room = most - len(batch.execution_ids)
    if room <= 0 or not await sql.may_grow(conn, batch_id=batch.id, ids=batch.execution_ids):
        return batch
    await sql.lock_claims(conn)
    return Batch(batch.id, batch.execution_ids + await _claim(conn, worker_id, batch.id, room, alone=False))


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


async def hand_back(conn: db.Connection, batch: Batch, worker_id: UUID) -> list[UUID]:
    """A run is over: what it did not bring to rest goes back to the queue, unless another process owns it by now."""
    await sql.end_batch(conn, id=batch.id, worker_id=worker_id)
    freed = [row.id async for row in sql.hand_back(conn, batch_id=batch.id, worker_id=worker_id)]
    if freed:
        metrics.returned("launcher", len(freed))
        await sql.notify_queued(conn)
    return freed


async def left_behind(conn: db.Connection, batches: Sequence[Batch]) -> set[UUID]:
    """Which of these batches of ours nobody carries any more."""
    batch_ids, first_ids = [batch.id for batch in batches], [batch.execution_ids[0] for batch in batches]
    return {row.id async for row in sql.left_behind(conn, batch_ids=batch_ids, execution_ids=first_ids)}


async def answered(conn: db.Connection, execution_ids: Sequence[UUID]) -> None:
    """Tell the buyers that they are at rest, and the launchers that there is room for others."""
    await sql.notify_changed(conn, ids=list(execution_ids))
    await sql.wake_waiting(conn)


async def queue_paid(conn: db.Connection, payment_ids: Sequence[UUID]) -> None:
    """The payments are there: their executions may run."""
    await sql.release_payment_holds(conn, payment_ids=list(payment_ids))


async def void(conn: db.Connection, payment_id: UUID) -> None:
    """The payment failed: its execution will never run, and its reservation is free."""
    if row := await sql.void(conn, payment_id=payment_id):
        await usage.settle(conn, [(row.id, row.round)])
        await sql.notify_changed(conn, ids=[row.id])


async def revive(conn: db.Connection, payment_id: UUID) -> None:
    """A refused payment landed late: run what it bought.

    Raises:
        Unavailable: when its cost does not fit; the transaction must roll back, and `owe` says so.
    """
    if row := await sql.revive(conn, payment_id=payment_id):
        version = await resource.version(conn, row.version_id)
        await usage.reserve(conn, [usage.Round(row.id, row.round, version.worst_cost_usd)])
        await sql.notify_queued(conn)
        await sql.notify_changed(conn, ids=[row.id])


async def owe(conn: db.Connection, payment_id: UUID) -> None:
    """A refused payment landed late and cannot run now: failed, with a free re-run, and owed when that lapses."""
    if row := await sql.owe(conn, payment_id=payment_id, rerun_seconds=settings().rerun_hours * 3600):
        metrics.finished("failed", "creator")
        await sql.notify_changed(conn, ids=[row.id])


async def unvoid(conn: db.Connection, payment_id: UUID, version: resource.Version) -> None:
    """A refused payment came back unchanged: hold its execution again.

    Raises:
        Unavailable: when its cost no longer fits.
    """
    if row := await sql.unvoid(conn, payment_id=payment_id):
        await usage.reserve(conn, [usage.Round(row.id, row.round, version.worst_cost_usd)])


async def rerun(conn: db.Connection, execution_id: UUID) -> bool:
    """Queue a failed, paid execution again with the same inputs, for free.

    Returns:
        False when its bound or its time is over, or the failure was the buyer's.

    Raises:
        Unavailable: when its cost does not fit the creator's cap; the transaction must roll back.
    """
    # The finished round must have its usage row before the next one begins, and its log may still be on its way.
    await sql.lock(conn, id=execution_id)
    await usage.log(conn, [execution_id])
    row = await sql.rerun(conn, id=execution_id, rerun_limit=settings().rerun_limit)
    if row is None:
        return False
    version = await resource.version(conn, row.version_id)
    await usage.reserve(conn, [usage.Round(execution_id, row.round, version.worst_cost_usd)])
    await sql.notify_queued(conn)
    return True


async def show(conn: db.Connection, execution_id: UUID) -> Any:
    """Everything a buyer, creator or operator may ask about one execution, as a row; None if there is none."""
    (row,) = await _show(conn, [execution_id])
    return row


async def _show(conn: db.Connection, execution_ids: Sequence[UUID]) -> list[Any]:
    rows = {row.id: row async for row in sql.show(conn, ids=list(execution_ids))}
    return [rows.get(execution_id) for execution_id in execution_ids]


_shown: db.Group[UUID, Any] = db.Group(_show, db.once)


async def follow(pool: db.Pool, hub: listen.Hub, execution_id: UUID, until: float) -> Any:
    """Wait for an execution to come to rest.

    Takes the pool: no connection is held while it waits.

    Args:
        pool: our database.
        hub: tells about changes.
        execution_id: what to wait for.
        until: `time.monotonic()` at which to stop waiting.

    Returns:
        Its row as by `show`, at rest or not.
    """
    with hub.event(listen.CHANGED, str(execution_id)) as changed:
        while True:
            changed.clear()
            row = await _shown.add(pool, execution_id)
            left = until - time.monotonic()
            if row.state in REST or left <= 0:
                return row
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left)


async def listing(conn: db.Connection, handle: str | None, most: int) -> list[Any]:
    """The newest executions, of one creator or of all."""
    return [row async for row in sql.listing(conn, handle=handle, most=most)]


async def history(
    conn: db.Connection, account_id: UUID, *, state: str | None, slug: str | None, after: UUID | None, most: int
) -> list[Any]:
    """A creator's executions, newest first, with what they earned and used.

    Args:
        conn: to read with.
        account_id: whose.
        state: only in this one.
        slug: only of this resource.
        after: only what is older than this execution of theirs.
        most: how many.
    """
    rows = sql.history(conn, account_id=account_id, state=state, slug=slug, after=after, most=most)
    return [row async for row in rows]


async def ahead(conn: db.Connection, execution_id: UUID) -> int:
    """How many of the same creator's executions begin before this one."""
    count: int = await sql.ahead(conn, id=execution_id)
    return count


def open_result(account_id: UUID, execution_id: UUID, sealed: bytes) -> dict[str, object]:
    """The stored answer in the clear: response, modality, usage, and images, audio or citations if there are any.

    Files that are stored elsewhere have URLs that expire; opening the answer again makes fresh ones.
    """
    plain = vault().open(sealed, account=account_id, column="executions.sealed_result", row=execution_id)
    result: dict[str, Any] = json.loads(plain.reveal())
    if "images" in result:
        result["images"] = [media.url_of(held) for held in result["images"]]
    if "audio" in result:
        result["audio"] = media.url_of(result["audio"])
    return result
