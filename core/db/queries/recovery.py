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


class DoubtRow(NamedTuple):
    id: UUID


class AdoptRow(NamedTuple):
    id: UUID


class WatchRow(NamedTuple):
    id: UUID


class Queries(Protocol):
    """What `recovery.sql` offers."""

    def free(self, conn: Connection, *, lease_seconds: float) -> AsyncIterator[FreeRow]:
        """What dead or departed owners held goes back to the queue. Only what had begun counts as taken over."""

    def give_up(
        self, conn: Connection, *, send_limit: int, rerun_seconds: float, takeover_limit: int
    ) -> AsyncIterator[GiveUpRow]:
        """Queued again, but sent or taken over as often as its bound allows: at rest as failed, and the fault is
        ours.
        """

    def doubt(self, conn: Connection, *, lease_seconds: float) -> AsyncIterator[DoubtRow]:
        """A settle whose owner is gone may or may not have reached the chain."""

    def adopt(self, conn: Connection, *, worker_id: UUID | None, lease_seconds: float) -> AsyncIterator[AdoptRow]:
        """Take unknown payments to decide them; nobody else looks while this worker lives."""

    async def let_go(self, conn: Connection, *, id: UUID, worker_id: UUID) -> int:
        """Not decided this time; whoever looks next may try."""

    async def is_work_left(self, conn: Connection) -> bool:
        """Whether anything is queued that nobody has claimed."""

    def watch(self, conn: Connection, *, pause_seconds: float) -> AsyncIterator[WatchRow]:
        """Refused payments whose authorization is still alive somewhere: whoever holds it could send it to the
        chain.
        """

    async def bury(self, conn: Connection, *, lease_seconds: float) -> int:
        """Batches of silent owners: nobody carries them any more. Those who left in good order get as long to tell
        Prefect.
        """


sql: Queries = load("recovery")
