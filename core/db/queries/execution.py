"""The queries of `execution.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import (
    ExecutionKind,
    ExecutionState,
    Fault,
    Leak,
    Modality,
    OutcomeCode,
    PaymentState,
    RefundState,
    Streamed,
)


class VoidRow(NamedTuple):
    id: UUID
    round: int


class ReholdRow(NamedTuple):
    id: UUID
    round: int


class RequeueRow(NamedTuple):
    id: UUID
    round: int
    version_id: UUID


class FailOwedRow(NamedTuple):
    id: UUID


class ClaimRow(NamedTuple):
    id: UUID


class OrphanedRow(NamedTuple):
    id: UUID


class TakeRow(NamedTuple):
    id: UUID
    attempt_id: UUID
    batch_id: UUID | None
    account_id: UUID
    version_id: UUID
    payment_id: UUID | None
    round: int
    sends: int
    takeovers: int
    claimed_by: UUID | None
    sealed_inputs: bytes
    streamed: Streamed | None
    payer: str | None


class SucceedRow(NamedTuple):
    id: UUID
    queue: timedelta | None
    upstream: timedelta | None
    total: timedelta | None


class FailRow(NamedTuple):
    id: UUID
    queue: timedelta | None
    upstream: timedelta | None
    total: timedelta | None


class FailuresRow(NamedTuple):
    fault: Fault
    detail: str


class ReleaseRow(NamedTuple):
    id: UUID


class RerunRow(NamedTuple):
    id: UUID
    round: int
    account_id: UUID
    version_id: UUID


class Execution(NamedTuple):
    id: UUID
    kind: ExecutionKind
    state: ExecutionState
    code: OutcomeCode | None
    fault: Fault | None
    detail: str | None
    round: int
    sends: int
    account_id: UUID
    version_id: UUID
    sealed_result: bytes | None
    truncated: bool
    streamed: Streamed | None
    delivery: dict[str, object] | None
    erased_by_buyer: bool
    model_served: str | None
    may_rerun: bool
    created_at: datetime
    queued_at: datetime | None
    call_started_at: datetime | None
    finished_at: datetime | None
    content_deleted_at: datetime | None
    claimed: bool
    modality: Modality
    number: int
    model_id: str
    slug: str
    handle: str
    asset: str | None
    pay_to: str | None
    payment_id: UUID | None
    payment_state: PaymentState | None
    reason: str | None
    transaction: str | None
    network: str | None
    payer: str | None
    amount_atomic: int | None
    claimed_at: datetime | None
    decided_at: datetime | None
    fetched_at: datetime | None
    flow_run_id: UUID | None
    sent_at: datetime | None
    ended_at: datetime | None
    refund: RefundState | None
    refund_transaction: str | None


class TestedRow(NamedTuple):
    cost_usd: Decimal | None
    outcome: str | None


class ListingRow(NamedTuple):
    id: UUID
    kind: ExecutionKind
    handle: str
    slug: str
    state: ExecutionState
    code: OutcomeCode | None
    detail: str | None
    round: int
    sends: int
    created_at: datetime
    finished_at: datetime | None


class HistoryRow(NamedTuple):
    id: UUID
    kind: ExecutionKind
    slug: str
    number: int
    state: ExecutionState
    code: OutcomeCode | None
    fault: Fault | None
    detail: str | None
    truncated: bool
    leak: Leak | None
    round: int
    sends: int
    created_at: datetime
    finished_at: datetime | None
    amount_atomic: int | None
    network: str | None
    transaction: str | None
    refund: RefundState | None
    model_id: str
    model_served: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None


class MilestonesRow(NamedTuple):
    tested: bool
    sold: bool


class FailedRow(NamedTuple):
    id: UUID
    kind: ExecutionKind
    handle: str
    slug: str
    fault: Fault | None
    detail: str | None
    sends: int
    finished_at: datetime | None
    flow_run_id: UUID | None


class Queries(Protocol):
    """What `execution.sql` offers."""

    async def create(
        self,
        conn: Connection,
        *,
        ids: list[UUID],
        payment_ids: list[UUID | None],
        account_ids: list[UUID],
        version_ids: list[UUID],
        sealed_inputs: list[bytes | None],
        streamed: list[Streamed | None],
    ) -> int:
        """A paid execution is held until its payment is settled; an owner's test is queued at once."""

    async def notify_queued(self, conn: Connection) -> int:
        """Wake the launchers, because there may be work to claim."""

    async def notify_changed(self, conn: Connection, *, ids: list[UUID]) -> int:
        """Wake the requests that wait for these executions."""

    async def release_payment_holds(self, conn: Connection, *, payment_ids: list[UUID]) -> int:
        """The payments are settled: queue their executions, and wake the launchers and those who read along."""

    async def void(self, conn: Connection, *, payment_id: UUID) -> VoidRow | None:
        """The payment failed: its execution never runs, and nothing is owed."""

    async def rehold(self, conn: Connection, *, payment_id: UUID) -> ReholdRow | None:
        """The identical payload of a refused payment came back: hold its execution again."""

    async def requeue(self, conn: Connection, *, payment_id: UUID) -> RequeueRow | None:
        """A refused payment landed late: queue its execution."""

    async def fail_owed(self, conn: Connection, *, rerun_seconds: float, payment_id: UUID) -> FailOwedRow | None:
        """A refused payment landed late, and its creator has no room: a free re-run is possible, then a refund is
        due.
        """

    async def lock_claims(self, conn: Connection) -> int:
        """Launchers claim one after the other, so that a creator's slots are counted exactly. A claim is short."""

    def claim(
        self,
        conn: Connection,
        *,
        alone: bool,
        send_limit: int,
        takeover_limit: int,
        most: int,
        call_limit: int,
        worker_id: UUID | None,
        batch_id: UUID | None,
    ) -> AsyncIterator[ClaimRow]:
        """Claim queued executions: within each creator's free slots, creators in turn, oldest first. An execution
        that was taken over twice runs alone. One that reached its limit of sends or takeovers is left for
        recovery, which fails it.
        """

    async def may_top_up(self, conn: Connection, *, batch_id: UUID, ids: list[UUID]) -> bool:
        """Whether there are executions that may join this batch. A batch of an execution that was taken over twice
        stays alone.
        """

    async def begin_batch(self, conn: Connection, *, id: UUID, worker_id: UUID) -> int:
        """The executions of a batch are run together while this row exists."""

    async def end_batch(self, conn: Connection, *, id: UUID, worker_id: UUID) -> int:
        """The batch's run is over. If another process has become its owner, the batch ends with that one."""

    def orphaned(
        self, conn: Connection, *, batch_ids: list[UUID], execution_ids: list[UUID]
    ) -> AsyncIterator[OrphanedRow]:
        """Which of these batches, each given with one of its executions, have no owner any more. A batch whose
        execution is not in this database belongs to another installation that shares our Prefect server.
        """

    def take(
        self, conn: Connection, *, worker_id: UUID | None, ids: list[UUID], batch_id: UUID, flow_run_id: UUID | None
    ) -> AsyncIterator[TakeRow]:
        """Begin: each execution claimed for this batch gets an attempt, and from now on only that attempt's writes
        count. The process that begins the batch becomes its owner; on a work pool that is not the
        launcher.
        """

    async def notify_begun(self, conn: Connection, *, batch_id: UUID) -> int:
        """Notify the launcher that this run has begun its batch, so that it may start the next."""

    def succeed(
        self,
        conn: Connection,
        *,
        ids: list[UUID],
        rounds: list[int],
        sealed_results: list[bytes],
        truncateds: list[bool],
        leaks: list[Leak | None],
        deliveries: list[str],
    ) -> AsyncIterator[SucceedRow]:
        """The first valid answer is stored, from whichever attempt it comes."""

    async def fail(
        self,
        conn: Connection,
        *,
        state: ExecutionState,
        code: OutcomeCode | None,
        fault: Fault | None,
        detail: str | None,
        rerun_seconds: float,
        id: UUID,
        attempt_id: UUID,
    ) -> FailRow | None:
        """Only the current attempt can fail the execution."""

    def failures(self, conn: Connection, *, ids: list[UUID]) -> AsyncIterator[FailuresRow]:
        """Why these executions failed: operators see the counts of a run's codes."""

    async def end_attempts(self, conn: Connection, *, outcome: str | None, attempt_ids: list[UUID]) -> int:
        """End attempts with their outcome; usage is recorded by their sends."""

    async def wake_waiting(self, conn: Connection) -> int:
        """A slot of a creator and of a process is free: wake the launchers if executions are waiting."""

    async def count_of_batch(self, conn: Connection, *, batch_id: UUID, worker_id: UUID) -> int:
        """How many unfinished executions a run carries, with those that joined when it began."""

    def release(self, conn: Connection, *, batch_id: UUID, worker_id: UUID) -> AsyncIterator[ReleaseRow]:
        """Return a run's unfinished executions to the queue. Only those that had begun count as taken over."""

    async def lock(self, conn: Connection, *, id: UUID) -> int:
        """Wait for concurrent writes to this execution."""

    async def rerun(self, conn: Connection, *, id: UUID, rerun_limit: int) -> RerunRow | None:
        """The buyer asks for the same inputs again: begin a new round, if the limits of number and time allow it."""

    def show(
        self, conn: Connection, *, rerun_limit: int, failure_limit: int, ids: list[UUID]
    ) -> AsyncIterator[Execution]:
        """Everything that a buyer, creator or operator may see of executions. Only where a buyer cannot know it from
        the offer. A re-run that would be refused is not offered: its wallet has had too many refundable
        failures.
        """

    async def tested(self, conn: Connection, *, id: UUID) -> TestedRow:
        """How an owner's test went at the provider: what was billed for its sends, NULL while it is unknown for one
        of them, and how the last send to the version's own model ended; NULL if nothing was sent to it.
        """

    async def ahead(self, conn: Connection, *, id: UUID) -> int:
        """Count the same creator's executions that will start before this one."""

    def listing(self, conn: Connection, *, handle: str | None, most: int) -> AsyncIterator[ListingRow]:
        """The newest executions, for an operator or one creator."""

    def history(
        self,
        conn: Connection,
        *,
        account_id: UUID,
        state: ExecutionState | None,
        slug: str | None,
        after: UUID | None,
        most: int,
    ) -> AsyncIterator[HistoryRow]:
        """A creator's executions, newest first, with the usage of all rounds together; never inputs or answers."""

    async def milestones(self, conn: Connection, *, account_id: UUID) -> MilestonesRow:
        """What a new creator has done: had an answer to a test of their own, and sold one."""

    def failed(self, conn: Connection, *, days: int, most: int) -> AsyncIterator[FailedRow]:
        """The newest executions without an answer, of all creators, each with its last flow run: reads an index by
        time.
        """


sql: Queries = load("execution")
