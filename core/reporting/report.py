"""Report sales as figures, for creators, the operator and the day's page.

They are summed from the rollup, and from the log where the rollup has not counted yet.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal, get_args
from uuid import UUID

from core import db
from core.db.queries.report import sql
from core.db.states import ExecutionKind, Fault, Span
from core.executions import advice
from core.failures import InvalidInput
from core.reporting.rollup import midnight

By = Literal["hour", "day", "month", "resource", "version", "creator", "model", "network", "payer"]
BY: tuple[By, ...] = get_args(By)
_WITH_CAUSES = frozenset({"resource", "version", "creator", "model"})

_MONEY = {"revenue_atomic": "revenue_usdc", "refunded_atomic": "refunded_usdc", "due_atomic": "due_usdc"}
_DAYS = 30
_FIRST, _LAST = date(2000, 1, 1), date(2200, 1, 1)
_MOST_DAYS_OF_HOURS = 31


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over a number of calls.

    Attributes:
        subject: what the calls have in common: a day (UTC), a resource, a model …; None if they have none, as tests
            have no network.
        calls: finished rounds; a re-run is a call of its own.
        succeeded, failed, declined: their outcomes; declined is the buyer's fault, and counts as answered.
        truncated: of the succeeded, those whose answer was cut off, which their creators let count.
        watched: of the succeeded, those whose answer gave its template away.
        withheld: of the failed and declined, those whose answer was withheld for that.
        fault_creator, fault_provider, fault_ours: failed calls by fault.
        charged: calls without an answer that the provider charged, or may have.
        revenue_atomic: atomic USDC.
        cost_usd: US dollars that providers reported as charged.
        cost_unknown: calls that may have an unknown cost, which is not in cost_usd.
        estimated_cost_usd: what the tokens that providers counted cost at today's list prices; None if unknown.
        margin_usd: revenue minus cost; unknown costs count at their worst case.
        p50_ms, p95_ms, p99_ms: total duration of calls; None without calls. Within 9.1 %.
        upstream_p95_ms, queue_p95_ms: of that, the time at the provider, and the time in the queue.
        refunds: calls that stayed unanswered, and were or are owed back.
        refunded_atomic, due_atomic: of their price, what was paid back, and what is still owed, in atomic USDC.
        failures: the three commonest codes of calls without an answer, and how often; only by resource, version,
            creator and model.
    """

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
    failures: Mapping[str, int] = field(default_factory=dict)

    @property
    def success(self) -> Decimal | None:
        """The share of calls with a whole answer, without declined calls; None if there are none."""
        counted = self.calls - self.declined
        return Decimal(self.succeeded - self.truncated) / counted if counted else None


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause of calls without an answer.

    Attributes:
        detail: the precise cause, a code of ours.
        advice: what the creator can do.
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
        complete_until: when this was read; every call that was at rest then is counted.
        in_progress: paid calls that are not at rest yet.
        total: the sum; None if nothing was sold.
    """

    since: date
    until: date
    complete_until: datetime
    in_progress: int
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
    """Sum the sales of a period.

    Args:
        conn: preferably a snapshot (`db.snapshot`).
        account_id: one creator; None: all.
        by: the subject of a row, one of BY.
        since: the first day (UTC); default the last 30 days.
        until: the day after the last; default tomorrow.
        kind: only paid calls, or only owners' tests.

    Raises:
        InvalidInput: names `by`, `since` or `until`.
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

    if by == "payer":
        if account_id is None:
            raise InvalidInput({"by": "payers are shown to their creator only: name one"})
        payers = sql.payers(conn, since=first, until=end, account_id=account_id, kind=kind)
        rows = [Figures(*row) async for row in payers]
    else:
        rows = await added_up(by, "hour" if by == "hour" else "day")
    if by in _WITH_CAUSES:
        often: dict[str, dict[str, int]] = defaultdict(dict)
        async for row in sql.row_causes(conn, by=by, since=first, until=end, account_id=account_id, kind=kind):
            often[row.subject][row.detail] = row.calls
        rows = [replace(row, failures=often.get(row.subject or "", {})) for row in rows]
    totals = await added_up("total", "day")
    causes = [
        Cause(row.detail, row.fault, row.calls, row.charged, advice.advice_for(row.detail, row.fault, row.served_by))
        async for row in sql.causes(conn, since=first, until=end, account_id=account_id, kind=kind)
    ]
    in_progress = await sql.in_progress(conn, account_id=account_id, since=first, until=end)
    return Report(since, until, await sql.now(conn), in_progress, rows, totals[0] if totals else None, causes)


def days_of(since: date | None, until: date | None) -> tuple[date, date]:
    """Return the period: as given, or the last 30 days including today (UTC).

    Raises:
        InvalidInput: names `since` or `until`.
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
    """List the names of the values in `document`, in order."""
    kept = (one.name for one in fields(Figures) if one.name not in _MONEY)
    return [*kept, *_MONEY.values(), "success"]


def document(figures: Figures) -> dict[str, object]:
    """Convert figures for JSON or CSV: money as text, and the share of success with four digits."""
    values = asdict(figures)
    share = figures.success
    money = {name: _text(Decimal(values.pop(atomic)).scaleb(-6)) for atomic, name in _MONEY.items()}
    return (
        values
        | money
        | {
            "cost_usd": _text(figures.cost_usd),
            "margin_usd": _text(figures.margin_usd),
            "estimated_cost_usd": None if figures.estimated_cost_usd is None else _text(figures.estimated_cost_usd),
            "success": None if share is None else str(share.quantize(Decimal("0.0001"))),
        }
    )


def as_csv(found: Report) -> str:
    """Write the rows as comma-separated values (RFC 4180) with a header. No cell can be taken for a formula."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, columns(), lineterminator="\n")
    writer.writeheader()
    for row in found.rows:
        subject = (row.subject or "").encode("unicode_escape").decode()
        subject = f"'{subject}" if subject[:1] in ("=", "+", "-", "@") else subject
        often = " ".join(f"{detail}:{calls}" for detail, calls in row.failures.items())
        writer.writerow(document(row) | {"subject": subject, "failures": often})
    return lines.getvalue()


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
