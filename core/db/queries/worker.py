"""The queries of `worker.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import WorkerKind


class SignsRow(NamedTuple):
    flow_run_id: UUID
    at: datetime
    is_alive: bool


class Process(NamedTuple):
    kind: Literal["door", "executor"]
    host: str
    pid: int
    ids: list[UUID]
    is_alive: bool
    heartbeat_at: datetime
    drain_asked_at: datetime | None
    has_heard: bool
    busy: int


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

    async def beat(self, conn: Connection, *, id: UUID) -> bool | None:
        """Record a heartbeat; return whether the process is asked to drain. A worker that was wrongly taken for dead
        is registered again; late writes of its lost attempts are refused.
        """

    async def stop(self, conn: Connection, *, id: UUID) -> int:
        """The process stopped in good order; its claims are free at once."""

    async def launchers(self, conn: Connection, *, lease_seconds: float) -> int:
        """Count the processes that launch queued executions."""

    def signs(self, conn: Connection, *, lease_seconds: float, flow_run_ids: list[UUID]) -> AsyncIterator[SignsRow]:
        """A run that is retried has several workers; it is alive if any of them is."""

    def processes(self, conn: Connection, *, lease_seconds: float) -> AsyncIterator[Process]:
        """Doors and executors that ran in the last day and were not stopped, each once: a door with a launcher has
        two workers. `busy` are the executions that it has claimed and the payments that it settles;
        `has_heard`: it knows that it is asked.
        """

    async def ask_to_drain(self, conn: Connection, *, ids: list[UUID]) -> int:
        """Ask these workers to take no new work. They read it with their next heartbeat."""


sql: Queries = load("worker")
