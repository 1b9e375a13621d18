"""What was sold, as figures: added up from the rollup for creators, the operator and the day's report."""

from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal, get_args
from uuid import UUID

from core import db
from core.db.queries.report import sql
from core.db.states import ExecutionKind, Fault, Span
from core.executions import advice
from core.failures import InvalidInput
from core.reporting.rollup import midnight, watermark

By = Literal["hour", "day", "month", "resource", "creator", "model", "network"]
BY: tuple[By, ...] = get_args(By)

_DAYS = 30
_FIRST, _LAST = date(2000, 1, 1), date(2200, 1, 1)
_MOST_DAYS_OF_HOURS = 31


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened to a number of calls.

    Attributes:
        subject: what they have in common: a day (UTC), a resource, a model …; None: what has none, as tests no network.
        calls: rounds that came to rest; a re-run is a call of its own.
        succeeded, failed, declined: how they ended; declined is the buyer's own doing, and counts as answered.
        fault_creator, fault_provider, fault_ours: whose fault those were that failed.
        charged: not answered, and charged by the provider all the same, or perhaps.
        revenue_atomic: atomic USDC.
        cost_usd: US dollars that the provider said it charged.
        cost_unknown: calls that may have cost something that nobody knows; not in cost_usd.
        margin_usd: revenue less cost, the worst case where it is not known.
        p50_ms, p95_ms, p99_ms: how long calls took altogether; None without any. Within 9.1 %.
        upstream_p95_ms, queue_p95_ms: of that, at the provider, and waiting to be sent.
    """

    subject: str | None
    calls: int
    succeeded: int
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

    @property
    def success(self) -> Decimal | None:
        """The share of calls that were answered, of those that were not the buyer's own trouble; None of none."""
        counted = self.calls - self.declined
        return Decimal(self.succeeded) / counted if counted else None


@dataclass(frozen=True, slots=True)
class Cause:
    """Why calls got no answer.

    Attributes:
        detail: the precise cause, a code of ours.
        advice: what its creator can do.
    """

    detail: str
    fault: Fault
    calls: int
    charged: int
    advice: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of whole days (UTC), from `since` to the day before `until`.

    Attributes:
        complete_until: what was sold before is counted; what is newer may be missing.
        total: everything together; None if nothing was sold.
    """

    since: date
    until: date
    complete_until: datetime
    rows: list[Figures]
    total: Figures | None
    causes: list[Cause]


async def report(
    conn: db.Connection,
    account_id: UUID | None,
    *,
    by: str = "day",
    since: date | None = None,
    until: date | None = None,
    kind: ExecutionKind | None = None,
) -> Report:
    """Add up what was sold.

    Args:
        conn: best one that sees a single moment (`db.snapshot`).
        account_id: of one creator; None: of all.
        by: what makes a row, one of BY.
        since: the first day (UTC); default 30 days with today.
        until: the day after the last; default tomorrow.
        kind: only what was paid, or the owners' tests.

    Raises:
        InvalidInput: naming `by`, `since` or `until`.
    """
    if by not in BY:
        raise InvalidInput({"by": f"must be one of: {', '.join(BY)}"})
    since, until = days_of(since, until)
    if by == "hour" and (until - since).days > _MOST_DAYS_OF_HOURS:
        raise InvalidInput({"since": f"hours are shown for {_MOST_DAYS_OF_HOURS} days at most"})
    first, end = midnight(since), midnight(until)

    async def added_up(by: str, span: Span) -> list[Figures]:
        rows = sql.figures(conn, by=by, span=span, since=first, until=end, account_id=account_id, kind=kind)
        return [Figures(*row) async for row in rows]

    rows = await added_up(by, "hour" if by == "hour" else "day")
    totals = await added_up("total", "day")
    causes = [
        Cause(row.detail, row.fault, row.calls, row.charged, advice.advice_for(row.detail, row.fault))
        async for row in sql.causes(conn, since=first, until=end, account_id=account_id, kind=kind)
    ]
    return Report(since, until, await watermark(conn, "hour"), rows, totals[0] if totals else None, causes)


def days_of(since: date | None, until: date | None) -> tuple[date, date]:
    """The period that is meant: given, or the last 30 days with today (UTC).

    Raises:
        InvalidInput: naming `since` or `until`.
    """
    if until is None:
        until = max(datetime.now(UTC).date(), since or _FIRST) + timedelta(days=1)
    elif not _FIRST < until <= _LAST:
        raise InvalidInput({"until": f"must be after {_FIRST} and not after {_LAST}"})
    since = since or max(until - timedelta(days=_DAYS), _FIRST)
    if not _FIRST <= since < until:
        raise InvalidInput({"since": f"must be before until ({until}) and not before {_FIRST}"})
    return since, until


def columns() -> list[str]:
    """The names of what `document` says, in its order."""
    return [*(field.name for field in fields(Figures) if field.name != "revenue_atomic"), "revenue_usdc", "success"]


def document(figures: Figures) -> dict[str, object]:
    """Figures as JSON or CSV has them: money as text, and the share of success with four digits."""
    values = asdict(figures)
    share = figures.success
    del values["revenue_atomic"]
    return values | {
        "revenue_usdc": _text(Decimal(figures.revenue_atomic).scaleb(-6)),
        "cost_usd": _text(figures.cost_usd),
        "margin_usd": _text(figures.margin_usd),
        "success": None if share is None else str(share.quantize(Decimal("0.0001"))),
    }


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
