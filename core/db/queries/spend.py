"""The queries of `spend.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class ExtendRow(NamedTuple):
    reserved_usd: Decimal


class LogRow(NamedTuple):
    id: UUID


class Queries(Protocol):
    """What `spend.sql` offers."""

    async def reserve(
        self, conn: Connection, *, execution_ids: list[UUID], rounds: list[int], usd: list[Decimal]
    ) -> int:
        """Reserve the worst-case costs of these rounds, and return how many were reserved; `spend_obstacle` then
        says whether they fit. A released reservation of a refused payment that came back is taken again.
        The lock on the day's row makes a creator's claims wait for each other, in one order of creators;
        where a month is capped, so does the lock on the account, because at midnight two claims have days
        of their own. Always true: it takes the locks before the first row.
        """

    async def spend_obstacle(self, conn: Connection, *, execution_ids: list[UUID], rounds: list[int]) -> str | None:
        """The first cap that the new reservations do not fit into, NULL if they fit; runs under the locks that
        `reserve` took.
        """

    async def queues_have_room(self, conn: Connection, *, execution_ids: list[UUID]) -> bool | None:
        """Whether these executions fit their creators' queues, also the held ones once they are paid; runs under the
        locks of the creators' spend_days rows.
        """

    async def extend(self, conn: Connection, *, execution_id: UUID, round: int, usd: Decimal | int) -> ExtendRow | None:
        """One more send may cost as much again: reserve that too; `spend_obstacle` then says whether it fits. The
        locks are those of `reserve`, in the same order.
        """

    async def lock(self, conn: Connection, *, execution_ids: list[UUID], rounds: list[int]) -> int:
        """Concurrent settlements of a round wait for each other, so that each sees what the previous one wrote."""

    async def lock_days(self, conn: Connection, *, execution_ids: list[UUID], rounds: list[int]) -> int:
        """Creators' days are locked in one order, so that concurrent settlements never deadlock."""

    async def settle(
        self,
        conn: Connection,
        *,
        execution_ids: list[UUID],
        rounds: list[int],
        providers: list[str],
        credit_percents: list[Decimal],
    ) -> int:
        """Replace the reservation of finished rounds by the costs of their sends, with what buying the credit for
        them costs. A send of unknown cost counts at its worst, which has that in it. `sends` and the
        usage log keep what was billed.
        """

    async def correct(self, conn: Connection, *, execution_ids: list[UUID], rounds: list[int]) -> int:
        """Correct the usage rows of logged rounds by what became known since; rows that already agree are not
        touched.
        """

    def log(self, conn: Connection, *, ids: list[UUID] | None) -> AsyncIterator[LogRow]:
        """Write one usage row per finished round, and queue what webhooks are told of it. A round that is logged
        already is not found again.
        """


sql: Queries = load("spend")
