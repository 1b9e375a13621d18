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
        self,
        conn: Connection,
        *,
        id: UUID,
        kind: WorkerKind,
        host: str,
        pid: int,
        flow_run_id: UUID | None,
        master_key_ids: list[str],
    ) -> int:
        """Register a process."""

    async def beat(self, conn: Connection, *, id: UUID) -> int:
        """Record a heartbeat. A worker that was wrongly taken for dead is registered again; late writes of its lost
        attempts are refused.
        """

    async def stop(self, conn: Connection, *, id: UUID) -> int:
        """The process stopped in good order; its claims are free at once."""

    async def launchers(self, conn: Connection, *, lease_seconds: float) -> int:
        """Count the processes that launch queued executions."""

    def signs(self, conn: Connection, *, lease_seconds: float, flow_run_ids: list[UUID]) -> AsyncIterator[SignsRow]:
        """A run that is retried has several workers; it is alive if any of them is."""


sql: Queries = load("worker")
