"""An execution's life: held -> queued -> running -> succeeded | failed | declined, or void.

The steps of a run are in `core/executions/steps.py`. Functions take `conn` and do not commit.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from core import db
from core.db.queries.execution import sql
from core.observability import metrics
from core.resources import versions
from core.secrets.vault import vault
from core.settings import settings
from core.spend import reservations, usage_log

# At rest: nothing changes any more unless somebody asks for a re-run.
REST = ("succeeded", "failed", "declined", "void")


@dataclass(frozen=True, slots=True)
class NewExecution:
    """What shall run.

    Attributes:
        version: what was sold.
        inputs: validated inputs.
        payment_id: the payment it waits for; None is the owner's free test, which is queued at once.
        id: a fresh one.
    """

    version: versions.Version
    inputs: dict[str, str]
    payment_id: UUID | None = None
    id: UUID = field(default_factory=uuid4)

    def sealed_inputs(self) -> bytes:
        """Its inputs, as they are kept."""
        plain = json.dumps(self.inputs).encode()
        return vault().seal(plain, account=self.version.account_id, column="executions.sealed_inputs", row=self.id)


async def create(conn: db.Connection, created: Sequence[NewExecution]) -> None:
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
    await reservations.reserve(conn, [reservations.Round(one.id, 1, one.version.worst_cost_usd) for one in created])
    if any(one.payment_id is None for one in created):
        await sql.notify_queued(conn)


async def notify_finished(conn: db.Connection, execution_ids: Sequence[UUID]) -> None:
    """Notify waiting buyers that these executions finished, and launchers that slots are free."""
    await sql.notify_changed(conn, ids=list(execution_ids))
    await sql.wake_waiting(conn)


async def notify_queued(conn: db.Connection) -> None:
    """Notify launchers that executions wait in the queue."""
    await sql.notify_queued(conn)


async def queue_paid(conn: db.Connection, payment_ids: Sequence[UUID]) -> None:
    """The payments are there: their executions may run."""
    await sql.release_payment_holds(conn, payment_ids=list(payment_ids))


async def void(conn: db.Connection, payment_id: UUID) -> None:
    """The payment failed: its execution will never run, and its reservation is free."""
    if row := await sql.void(conn, payment_id=payment_id):
        await reservations.replace_by_cost(conn, [(row.id, row.round)])
        await sql.notify_changed(conn, ids=[row.id])


async def requeue(conn: db.Connection, payment_id: UUID) -> None:
    """A refused payment landed late: run what it bought.

    Raises:
        Unavailable: when its cost does not fit; the transaction must roll back, and `owe` says so.
    """
    if row := await sql.revive(conn, payment_id=payment_id):
        version = await versions.version(conn, row.version_id)
        await reservations.reserve(conn, [reservations.Round(row.id, row.round, version.worst_cost_usd)])
        await sql.notify_queued(conn)
        await sql.notify_changed(conn, ids=[row.id])


async def fail_owed(conn: db.Connection, payment_id: UUID) -> None:
    """A refused payment landed late and cannot run now: failed, with a free re-run, and owed when that lapses."""
    if row := await sql.owe(conn, payment_id=payment_id, rerun_seconds=settings().rerun_hours * 3600):
        metrics.finished("failed", "creator")
        await sql.notify_changed(conn, ids=[row.id])


async def rehold(conn: db.Connection, payment_id: UUID, version: versions.Version) -> None:
    """A refused payment came back unchanged: hold its execution again.

    Raises:
        Unavailable: when its cost no longer fits.
    """
    if row := await sql.unvoid(conn, payment_id=payment_id):
        await reservations.reserve(conn, [reservations.Round(row.id, row.round, version.worst_cost_usd)])


async def rerun(conn: db.Connection, execution_id: UUID) -> bool:
    """Queue a failed, paid execution again with the same inputs, for free.

    Returns:
        False when its bound or its time is over, or the failure was the buyer's.

    Raises:
        Unavailable: when its cost does not fit the creator's cap; the transaction must roll back.
    """
    # The finished round must have its usage row before the next one begins, and its log may still be on its way.
    await sql.lock(conn, id=execution_id)
    await usage_log.append(conn, [execution_id])
    row = await sql.rerun(conn, id=execution_id, rerun_limit=settings().rerun_limit)
    if row is None:
        return False
    version = await versions.version(conn, row.version_id)
    await reservations.reserve(conn, [reservations.Round(execution_id, row.round, version.worst_cost_usd)])
    await sql.notify_queued(conn)
    return True
