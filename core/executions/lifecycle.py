"""An execution's life: held -> queued -> running -> succeeded | failed | declined, or void.

The steps of a run are in `core/executions/steps.py`. Functions take `conn` and do not commit.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid4

from core import db
from core.db.queries.execution import sql
from core.db.states import ExecutionState, Streamed
from core.executions import refundable
from core.observability import metrics
from core.resources import versions
from core.secrets.vault import vault
from core.settings import settings
from core.spend import reservations, usage_log

# Final states: they change only if the buyer asks for a re-run or a late payment lands.
FINAL_STATES: Final[tuple[ExecutionState, ...]] = ("succeeded", "failed", "declined", "void")


@dataclass(frozen=True, slots=True)
class NewExecution:
    """An execution to create.

    Attributes:
        version: the version that was sold.
        inputs: validated inputs.
        payment_id: the payment it waits for; None for the owner's free test, which is queued at once.
        id: a fresh id.
        is_streamed: whether somebody wants its progress, and its text while it is made where the version allows that.
        sealed_inputs: the inputs, sealed for their column at once, before any shared transaction.
    """

    version: versions.Version
    inputs: dict[str, str]
    payment_id: UUID | None = None
    id: UUID = field(default_factory=uuid4)
    is_streamed: bool = False
    sealed_inputs: bytes = field(init=False, repr=False)

    @property
    def streamed(self) -> Streamed | None:
        """What is published of it while it runs."""
        if not self.is_streamed:
            return None
        return "text" if self.version.streams else "progress"

    def __post_init__(self) -> None:
        """Seal the inputs."""
        plain = json.dumps(self.inputs).encode()
        sealed = vault().seal(plain, account=self.version.account_id, column="executions.sealed_inputs", row=self.id)
        object.__setattr__(self, "sealed_inputs", sealed)  # frozen


async def create(conn: db.Connection, executions: Sequence[NewExecution]) -> None:
    """Create executions and reserve their worst-case costs.

    Args:
        conn: the transaction of the claim.
        executions: the executions to create.

    Raises:
        Unavailable: a creator's spend cap or queue has no room; the transaction must roll back.
    """
    await sql.create(
        conn,
        ids=[execution.id for execution in executions],
        payment_ids=[execution.payment_id for execution in executions],
        account_ids=[execution.version.account_id for execution in executions],
        version_ids=[execution.version.version_id for execution in executions],
        sealed_inputs=[execution.sealed_inputs for execution in executions],
        streamed=[execution.streamed for execution in executions],
    )
    await reservations.reserve(
        conn, [reservations.Round(execution.id, 1, execution.version.worst_cost_usd) for execution in executions]
    )
    if any(execution.payment_id is None for execution in executions):
        await sql.notify_queued(conn)


async def notify_finished(conn: db.Connection, execution_ids: Sequence[UUID]) -> None:
    """Notify waiting buyers that these executions finished, and launchers that slots are free."""
    await sql.notify_changed(conn, ids=list(execution_ids))
    await sql.wake_waiting(conn)


async def notify_queued(conn: db.Connection) -> None:
    """Notify launchers that executions wait in the queue."""
    await sql.notify_queued(conn)


async def queue_paid(conn: db.Connection, payment_ids: Sequence[UUID]) -> None:
    """Queue the executions of payments that are now paid."""
    await sql.release_payment_holds(conn, payment_ids=list(payment_ids))


async def void(conn: db.Connection, payment_id: UUID) -> None:
    """Void the execution of a failed payment and free its reservation."""
    if row := await sql.void(conn, payment_id=payment_id):
        await reservations.replace_by_cost(conn, [(row.id, row.round)])
        await sql.notify_changed(conn, ids=[row.id])


async def requeue(conn: db.Connection, payment_id: UUID) -> None:
    """Queue the execution of a refused payment that landed late.

    Raises:
        Unavailable: its cost does not fit the creator's cap; the transaction must roll back. Then call `fail_owed`.
    """
    if row := await sql.requeue(conn, payment_id=payment_id):
        version = await versions.version(conn, row.version_id)
        await reservations.reserve(conn, [reservations.Round(row.id, row.round, version.worst_cost_usd)])
        await sql.notify_queued(conn)
        await sql.notify_changed(conn, ids=[row.id])


async def fail_owed(conn: db.Connection, payment_id: UUID) -> None:
    """Fail the execution of a refused payment that landed late but has no room: free re-run, then a refund is due."""
    if row := await sql.fail_owed(conn, payment_id=payment_id, rerun_seconds=settings().rerun_hours * 3600):
        metrics.finished("failed", "creator")
        await sql.notify_changed(conn, ids=[row.id])


async def rehold(conn: db.Connection, payment_id: UUID, version: versions.Version) -> None:
    """Hold the execution of a refused payment again, because the identical payment came back.

    Raises:
        Unavailable: its cost does not fit any more.
    """
    if row := await sql.rehold(conn, payment_id=payment_id):
        await reservations.reserve(conn, [reservations.Round(row.id, row.round, version.worst_cost_usd)])


async def rerun(conn: db.Connection, execution_id: UUID) -> bool:
    """Queue a failed, paid execution again with the same inputs, for free.

    Returns:
        False if no re-run is left, its time is over, the failure was the buyer's fault, or the wallet has had too many
        refundable failures of this resource.

    Raises:
        Unavailable: its cost does not fit the creator's cap; the transaction must roll back.
    """
    # The finished round needs its usage row before the next one begins, and the flow may not have logged it yet.
    await sql.lock(conn, id=execution_id)
    if await refundable.is_rerun_refused(conn, execution_id):
        return False
    await usage_log.append(conn, [execution_id])
    row = await sql.rerun(conn, id=execution_id, rerun_limit=settings().rerun_limit)
    if row is None:
        return False
    version = await versions.version(conn, row.version_id)
    await reservations.reserve(conn, [reservations.Round(execution_id, row.round, version.worst_cost_usd)])
    await sql.notify_queued(conn)
    return True
