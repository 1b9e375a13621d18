"""Measure a product for its buyers: calls, success, refunds, durations and prices of the last 30 days.

The numbers come from the rollup, and from the log where the rollup has not counted yet, so at every moment they equal a
recount of the log. No creator can change them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from core import db
from core.db.queries.record import sql
from core.reporting.rollup import midnight

DAYS = 30
"""Whole days (UTC) that a record covers, today included."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a product was on offer for.

    Attributes:
        since: when this offer began (UTC).
        version: its number.
        price_atomic: atomic USDC.
    """

    since: datetime
    version: int
    price_atomic: int


@dataclass(frozen=True, slots=True)
class Record:
    """A product's paid calls of the last 30 days.

    Attributes:
        since: the beginning of the first day (UTC).
        as_of: when this was read (UTC); every call that was at rest then is counted.
        calls: finished rounds; a re-run is a call of its own.
        succeeded: of these, those with an answer.
        truncated: of the succeeded, those whose answer was cut off.
        declined: those that the provider or the prompt shield refused for the buyer's inputs.
        failed: those without an answer.
        refunded, owed: calls that stayed unanswered, and were or will be paid back.
        p50_ms, p95_ms: total duration of calls, within 9.1 %; None without calls.
        prices: the offers in turn, from the one that stood at the beginning.
    """

    since: datetime
    as_of: datetime
    calls: int
    succeeded: int
    truncated: int
    declined: int
    failed: int
    refunded: int
    owed: int
    p50_ms: int | None
    p95_ms: int | None
    prices: tuple[Price, ...]

    @property
    def success(self) -> Decimal | None:
        """The share of calls with a whole answer, without declined calls; None if there are none."""
        counted = self.calls - self.declined
        return Decimal(self.succeeded - self.truncated) / counted if counted else None


async def record(conn: db.Connection, resource_id: UUID, now: datetime | None = None) -> Record:
    """Read a product's record. Nothing is cached here.

    Args:
        conn: preferably a snapshot (`db.snapshot`), so that all numbers are of one moment.
        resource_id: the product.
        now: the end of the period (UTC); default now.
    """
    until = midnight((now or datetime.now(UTC)).date()) + timedelta(days=1)
    since = until - timedelta(days=DAYS)
    row = await sql.figures(conn, resource_id=resource_id, since=since, until=until)
    stood = sql.offers(conn, resource_id=resource_id, since=since, until=until)
    prices = [Price(*offer) async for offer in stood]
    return Record(
        since=since,
        as_of=await sql.now(conn),
        calls=row.calls,
        succeeded=row.succeeded,
        truncated=row.truncated,
        declined=row.declined,
        failed=row.failed,
        refunded=row.refunded,
        owed=row.owed,
        p50_ms=row.p50_ms,
        p95_ms=row.p95_ms,
        prices=tuple(prices),
    )
