"""The queries of `recovery.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class FreeRow(NamedTuple):
    id: UUID


class GiveUpRow(NamedTuple):
    id: UUID
    round: int


class MarkUnknownRow(NamedTuple):
    id: UUID


class TakeUnknownRow(NamedTuple):
    id: UUID


class WatchRow(NamedTuple):
    id: UUID


class Queries(Protocol):
    """What `recovery.sql` offers."""

    def free(self, conn: Connection, *, lease_seconds: float) -> AsyncIterator[FreeRow]:
        """Return the executions of dead or stopped owners to the queue. Only those that had begun count as taken
        over.
        """

    def give_up(
        self, conn: Connection, *, send_limit: int, rerun_seconds: float, takeover_limit: int
    ) -> AsyncIterator[GiveUpRow]:
        """Fail queued executions that reached their limit of sends or takeovers; the fault is ours."""

    def mark_unknown(self, conn: Connection, *, lease_seconds: float) -> AsyncIterator[MarkUnknownRow]:
        """A settlement whose owner is dead may or may not have reached the chain."""

    def take_unknown(
        self,
        conn: Connection,
        *,
        worker_id: UUID | None,
        longest_seconds: float,
        pause_seconds: float,
        margin_seconds: float,
        lease_seconds: float,
    ) -> AsyncIterator[TakeUnknownRow]:
        """Take unknown payments whose time has come, and set the next time: each pause is twice the one before, and
        one look is due when the authorization can no longer land. No other worker takes them while this
        one lives.
        """

    async def release_unknown(self, conn: Connection, *, id: UUID, worker_id: UUID) -> int:
        """The payment is still unknown; a later pass tries again."""

    async def is_work_left(self, conn: Connection) -> bool:
        """Whether queued executions are unclaimed."""

    def watch(self, conn: Connection, *, pause_seconds: float) -> AsyncIterator[WatchRow]:
        """Refused payments whose authorization is still valid: anyone who holds it could submit it."""

    async def end_orphaned_batches(self, conn: Connection, *, lease_seconds: float) -> int:
        """Delete the batches of owners without a heartbeat. Stopped owners get the same time to report the end to
        Prefect.
        """


sql: Queries = load("recovery")
