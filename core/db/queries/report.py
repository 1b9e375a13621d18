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
    estimated_cost_usd: Decimal | None
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


class RowCausesRow(NamedTuple):
    subject: str
    detail: str
    calls: int


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
        so always sum. A call that no model answered counts for the model that its version asks. What
        tokens cost at today's list prices stands beside what was billed. Providers name a model by its id
        in the catalog, or by a dated one.
        """

    def causes(
        self, conn: Connection, *, since: datetime, until: datetime, account_id: UUID | None, kind: ExecutionKind | None
    ) -> AsyncIterator[CausesRow]:
        """Why calls failed, most frequent first. Only the log has the causes, not the rollup."""

    def payers(
        self, conn: Connection, *, account_id: UUID, since: datetime, until: datetime, kind: ExecutionKind | None
    ) -> AsyncIterator[FiguresRow]:
        """The same figures by the wallet that paid, for one creator. Only the log knows the payer, and only as long
        as it is kept.
        """

    def row_causes(
        self,
        conn: Connection,
        *,
        by: str,
        since: datetime,
        until: datetime,
        account_id: UUID | None,
        kind: ExecutionKind | None,
    ) -> AsyncIterator[RowCausesRow]:
        """Of each resource, version or model, the three codes that its calls failed with most often."""

    async def now(self, conn: Connection) -> datetime:
        """The moment that a snapshot shows."""

    async def in_progress(self, conn: Connection, *, since: datetime, until: datetime, account_id: UUID | None) -> int:
        """Paid calls of a period that the log does not have: they are not at rest, or came to rest a moment ago."""


sql: Queries = load("report")
