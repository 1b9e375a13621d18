"""The queries of `report.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import ExecutionKind, Fault


class FiguresRow(NamedTuple):
    subject: str | None
    calls: int
    succeeded: int
    truncated: int
    watched: int
    withheld: int
    failed: int
    declined: int
    fault_creator: int
    fault_provider: int
    fault_ours: int
    charged: int
    input_tokens: int
    output_tokens: int
    revenue_atomic: int
    cost_usd: Decimal
    cost_unknown: int
    margin_usd: Decimal
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None
    upstream_p95_ms: int | None
    queue_p95_ms: int | None
    refunds: int
    refunded_atomic: int
    due_atomic: int


class CausesRow(NamedTuple):
    detail: str
    fault: Fault
    calls: int
    charged: int
    served_by: list[str]


class Queries(Protocol):
    """What `report.sql` offers."""

    def figures(
        self,
        conn: Connection,
        *,
        span: str,
        since: datetime,
        until: datetime,
        by: str,
        account_id: UUID | None,
        kind: ExecutionKind | None,
    ) -> AsyncIterator[FiguresRow]:
        """Sum the live rollup by one dimension, and the refunds of the same calls. Rows of a dimension may be many,
        so always sum.
        """

    def causes(
        self, conn: Connection, *, since: datetime, until: datetime, account_id: UUID | None, kind: ExecutionKind | None
    ) -> AsyncIterator[CausesRow]:
        """Why calls failed, most frequent first. Only the log has the causes, not the rollup."""

    async def now(self, conn: Connection) -> datetime:
        """The moment that a snapshot shows."""

    async def in_progress(self, conn: Connection, *, since: datetime, until: datetime, account_id: UUID | None) -> int:
        """Paid calls of a period that are not at rest, so that the log does not have them."""


sql: Queries = load("report")
