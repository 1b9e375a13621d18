"""The queries of `schedule.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class KnownRow(NamedTuple):
    name: str
    deployment_id: UUID | None
    succeeded_at: datetime | None
    age_seconds: float


class Queries(Protocol):
    """What `schedule.sql` offers."""

    async def try_lock(self, conn: Connection, *, name: str) -> bool | None:
        """For as long as this connection lives. The first number keeps apart what else of ours may lock by a hash."""

    async def unlock(self, conn: Connection, *, name: str) -> int:
        """At a proper end, so that the next run need not wait for Postgres to see the connection go."""

    async def keep_alive(self, conn: Connection) -> int:
        """A machine that vanishes says nothing: Postgres asks after it, and within a minute gives its lock back."""

    async def begin(
        self, conn: Connection, *, name: str, deployment_id: UUID | None, due: datetime | None
    ) -> bool | None:
        """Nothing comes back where a run that was due has been made up for: a later one began after that, and
        succeeded.
        """

    async def succeed(self, conn: Connection, *, name: str) -> int:
        """What it was there for is done."""

    async def deployed(self, conn: Connection, *, name: str, deployment_id: UUID | None) -> int:
        """A deployment was made, and it has the only runs of this schedule from now on."""

    async def expect(self, conn: Connection, *, names: list[str]) -> int:
        """The first who knows a schedule says from when on it is missed."""

    def known(self, conn: Connection) -> AsyncIterator[KnownRow]:
        """All of them, few as they are."""


sql: Queries = load("schedule")
