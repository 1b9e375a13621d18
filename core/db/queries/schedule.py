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
        """The lock is held until this connection ends. The first number separates these locks from our other hashed
        locks.
        """

    async def unlock(self, conn: Connection, *, name: str) -> int:
        """Release the lock at a proper end, so that the next run need not wait for Postgres to notice the closed
        connection.
        """

    async def keep_alive(self, conn: Connection) -> int:
        """If a machine vanishes, keepalives make Postgres notice within a minute and release the lock."""

    async def begin(
        self, conn: Connection, *, name: str, deployment_id: UUID | None, due: datetime | None
    ) -> bool | None:
        """No row if the run is superfluous: a run that began after this one was due has succeeded."""

    async def succeed(self, conn: Connection, *, name: str) -> int:
        """Record the success of the run."""

    async def deployed(self, conn: Connection, *, name: str, deployment_id: UUID | None) -> int:
        """Record the deployment that all runs of this schedule belong to from now on."""

    async def expect(self, conn: Connection, *, names: list[str]) -> int:
        """Expect these schedules from now on, unless they already are expected."""

    def known(self, conn: Connection) -> AsyncIterator[KnownRow]:
        """All schedules; there are only a few."""


sql: Queries = load("schedule")
