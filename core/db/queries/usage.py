"""The queries of `usage.sql` as mypy sees them. Written by `make queries`; do not edit.

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
    """What `usage.sql` offers."""

    async def reserve(
        self, conn: Connection, *, execution_ids: list[UUID], rounds: list[int], usd: list[Decimal]
    ) -> int:
        """Set the worst-case costs aside if today's caps have room, and remember them for these rounds; one that was
        refused and came back holds again; how many were. The lock of the day's row makes a creator's
        claims take turns, in one order of creators.
        """

    async def resources_have_room(
        self, conn: Connection, *, execution_ids: list[UUID], rounds: list[int]
    ) -> bool | None:
        """Whether the resources' own caps cover what was just set aside; asked under the locks of their
        resource_spend_days rows.
        """

    async def queues_have_room(self, conn: Connection, *, execution_ids: list[UUID]) -> bool | None:
        """Whether their creators' unfinished executions fit the queues; asked under the locks of their spend_days
        rows.
        """

    async def extend(self, conn: Connection, *, execution_id: UUID, round: int, usd: Decimal | int) -> ExtendRow | None:
        """One more send may cost as much again: set that aside as well, if the day's cap has room."""

    async def lock(self, conn: Connection, *, execution_ids: list[UUID], rounds: list[int]) -> int:
        """Whoever settles a round waits for whoever does so now, and then sees what that one wrote."""

    async def lock_days(self, conn: Connection, *, execution_ids: list[UUID], rounds: list[int]) -> int:
        """Creators' days are locked in one order, so that two who settle several never wait for each other."""

    async def settle(self, conn: Connection, *, execution_ids: list[UUID], rounds: list[int]) -> int:
        """Rounds that are over: a reservation gives way to what its sends cost, each at the worst where nobody
        knows.
        """

    async def correct(self, conn: Connection, *, execution_ids: list[UUID], rounds: list[int]) -> int:
        """What became known after a round was logged; rows that say so already are not touched."""

    def log(self, conn: Connection, *, ids: list[UUID] | None) -> AsyncIterator[LogRow]:
        """One row per finished round, whoever finds it first; what is logged already is not found again."""


sql: Queries = load("usage")
