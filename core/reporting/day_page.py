"""Describe the operator's day on one page: calls, success, revenue, cost, durations and failures."""

import base64
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from core import db
from core.reporting import chart
from core.reporting import report as usage_report
from core.reporting.report import Cause, Figures
from core.reporting.rollup import midnight

_MOST = 5
_DAYS = 30
_HOURS = 48


async def compose(conn: db.Connection, now: datetime | None = None) -> str:
    """Describe the day (UTC) so far, beside the day before and the last 30 days: Markdown with an embedded chart.

    Args:
        conn: preferably a snapshot (`db.snapshot`).
        now: the end of the period; default now.
    """
    now = now or datetime.now(UTC)
    today, tomorrow = now.date(), now.date() + timedelta(days=1)
    yesterday, month = today - timedelta(days=1), tomorrow - timedelta(days=_DAYS)
    day = await usage_report.report(conn, None, by="resource", since=today, until=tomorrow)
    before = await usage_report.report(conn, None, by="creator", since=yesterday, until=today)
    days = await usage_report.report(conn, None, by="day", since=month, until=tomorrow)
    hours = await usage_report.report(conn, None, by="hour", since=yesterday, until=tomorrow)
    title = f"{today:%A}, {today.day} {today:%B %Y} (UTC)"
    picture = chart.draw(_hours(hours.rows, now), _days(days.rows, month, tomorrow))
    return "\n\n".join(
        [
            f"# {title}",
            f"As of {day.complete_until:%Y-%m-%d %H:%M}; {day.in_progress} paid calls are not at rest yet.",
            f"![calls by the hour, money by the day](data:image/png;base64,{base64.b64encode(picture).decode()})",
            _table(
                ["", "today", "yesterday", f"{_DAYS} days"],
                _summary(day.total, before.total, days.total),
            ),
            *_section("Slowest", ["resource", "calls", "p50", "p95", "p95 at the provider"], _slowest(day.rows)),
            *_section(
                "Worst", ["resource", "calls", "answered", "failed", "by creator", "provider", "us"], _worst(day.rows)
            ),
            *_cause_list(day.causes),
            "`instant usage report --by resource` says more, and `/me/usage` says each creator their own.",
        ]
    )


def _hours(rows: Iterable[Figures], now: datetime) -> list[tuple[datetime, Figures | None]]:
    """List the last 48 hours up to the current one, within yesterday and today."""
    by_hour = {row.subject: row for row in rows}
    last = now.replace(minute=0, second=0, microsecond=0)
    first = max(last - timedelta(hours=_HOURS - 1), midnight(now.date() - timedelta(days=1)))
    hours = [first + timedelta(hours=number) for number in range(int((last - first).total_seconds()) // 3600 + 1)]
    return [(hour, by_hour.get(f"{hour:%Y-%m-%dT%H}:00Z")) for hour in hours]


def _days(rows: Iterable[Figures], first: date, end: date) -> list[tuple[date, Figures | None]]:
    by_day = {row.subject: row for row in rows}
    days = [first + timedelta(days=number) for number in range((end - first).days)]
    return [(day, by_day.get(day.isoformat())) for day in days]


def _summary(*columns: Figures | None) -> list[list[str]]:
    def row(name: str, format_value: Callable[[Figures], str]) -> list[str]:
        return [name, *("–" if figures is None else format_value(figures) for figures in columns)]

    return [
        row("calls", lambda figures: f"{figures.calls:,}"),
        row("answered", lambda figures: share(figures.success)),
        row("answered, but cut off", lambda figures: f"{figures.truncated:,}"),
        row("declined", lambda figures: f"{figures.declined:,}"),
        row("failed", lambda figures: f"{figures.failed:,}"),
        row("of these our fault", lambda figures: f"{figures.fault_ours:,}"),
        row("charged without an answer", lambda figures: f"{figures.charged:,}"),
        row("revenue", lambda figures: usd(Decimal(figures.revenue_atomic).scaleb(-6))),
        row("cost of models", lambda figures: usd(figures.cost_usd)),
        row("calls of unknown cost", lambda figures: f"{figures.cost_unknown:,}"),
        row("margin at least", lambda figures: usd(figures.margin_usd)),
        row("p50", lambda figures: seconds(figures.p50_ms)),
        row("p95", lambda figures: seconds(figures.p95_ms)),
        row("p99", lambda figures: seconds(figures.p99_ms)),
    ]


def _slowest(rows: Sequence[Figures]) -> list[list[str]]:
    slow = sorted((row for row in rows if row.p95_ms is not None), key=lambda row: row.p95_ms or 0, reverse=True)
    return [
        [f"{row.subject}", f"{row.calls:,}", *map(seconds, (row.p50_ms, row.p95_ms, row.upstream_p95_ms))]
        for row in slow[:_MOST]
    ]


def _worst(rows: Sequence[Figures]) -> list[list[str]]:
    bad = sorted((row for row in rows if row.failed), key=lambda row: (row.success or 0, -row.failed))
    return [
        [
            f"{row.subject}",
            f"{row.calls:,}",
            share(row.success),
            *(f"{count:,}" for count in (row.failed, row.fault_creator, row.fault_provider, row.fault_ours)),
        ]
        for row in bad[:_MOST]
    ]


def _cause_list(causes: Sequence[Cause]) -> list[str]:
    """List the causes; a table with whole sentences would be wider than the page."""
    lines = [
        f"- **`{cause.detail}`**: {cause.calls:,} {'call' if cause.calls == 1 else 'calls'}, "
        f"{cause.charged:,} charged, fault: {cause.fault}. {cause.advice}"
        for cause in causes[:_MOST]
    ]
    return ["## Why, most often", "\n".join(lines)] if lines else []


def _section(title: str, names: list[str], rows: list[list[str]]) -> list[str]:
    return [f"## {title}", _table(names, rows)] if rows else []


def _table(names: list[str], rows: list[list[str]]) -> str:
    """Build a Markdown table. All cells are ours, so none has a bar or a line break."""
    lines = [names, ["---", *("---:" for _ in names[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def share(part: Decimal | None) -> str:
    """Format a share in percent; only a full share is rounded to 100 %."""
    if part is None:
        return "–"
    return "100 %" if part == 1 else f"{min(part * 100, Decimal('99.9')):.1f} %"


def usd(amount: Decimal) -> str:
    """Format US dollars: in cents, or with as many digits as a small amount needs."""
    digits = 2 if not amount or abs(amount) >= 1 else 4 if abs(amount) >= Decimal("0.01") else 6
    return f"{'-' * (amount < 0)}${abs(amount):,.{digits}f}"


def seconds(milliseconds: int | None) -> str:
    """Format a duration."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{Decimal(milliseconds) / 1000:.1f} s"
