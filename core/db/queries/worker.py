"""The queries of `worker.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import WorkerKind


class SignsRow(NamedTuple):
    flow_run_id: UUID
    at: datetime
    is_alive: bool


class Queries(Protocol):
    """What `worker.sql` offers."""

    async def register(
        self, conn: Connection, *, id: UUID, kind: WorkerKind, host: str, pid: int, flow_run_id: UUID | None
    ) -> int:
        """A process introduces itself."""

    async def beat(self, conn: Connection, *, id: UUID) -> int:
        """Still here. A worker that was taken for dead and is not comes back to life: its late writes are refused by
        attempt.
        """

    async def stop(self, conn: Connection, *, id: UUID) -> int:
        """Left in good order; what it still held is free at once."""

    async def launchers(self, conn: Connection, *, lease_seconds: float) -> int:
        """How many processes would run what is queued now."""

    def signs(self, conn: Connection, *, lease_seconds: float, flow_run_ids: list[UUID]) -> AsyncIterator[SignsRow]:
        """A run that is retried has several: it is carried if any of them lives."""


sql: Queries = load("worker")
