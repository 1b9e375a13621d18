"""`instant usage report`: print sales as a table, CSV or JSON."""

import asyncio
import sys
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from cyclopts import Parameter

from cli import output
from cli.remote import door
from cli.remote import usage as at_door
from cli.shared import Json, owner
from core import db
from core.failures import InvalidInput
from core.reporting import report as usage_report
from core.reporting.day_page import seconds, share, usd
from core.reporting.report import By, Figures, Report

Csv = Annotated[bool, Parameter(name="--csv", negative=(), help="Print rows of comma-separated values.")]


@door.anywhere
def report(
    *,
    by: By = "day",
    since: date | None = None,
    until: date | None = None,
    creator: str | None = None,
    kind: Literal["paid", "test"] | None = None,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Report calls, outcomes, revenue, cost and durations.

    Args:
        by: the subject of a row; payer needs a creator.
        since: the first day (UTC); default the last 30 days.
        until: the day after the last; default all of today.
        creator: only this creator's; at a door that is you.
        kind: only paid calls, or only the owners' tests.
        csv: print CSV.
        json: print JSON.
    """
    if csv and json:
        raise InvalidInput({"csv": "choose one of --csv and --json"})
    if door.chosen():
        if creator is not None:
            door.check_handle(creator)
        found = at_door.report(by=by, since=since, until=until, kind=kind)
    else:
        found = asyncio.run(_read(creator, by, since, until, kind))
    if json:
        document = asdict(found) | {"rows": [usage_report.document(row) for row in found.rows]}
        output.document(document | {"total": found.total and usage_report.document(found.total)})
    elif csv:
        sys.stdout.write(usage_report.as_csv(found))
    else:
        _show(found, by)


async def _read(
    creator: str | None, by: By, since: date | None, until: date | None, kind: Literal["paid", "test"] | None
) -> Report:
    async with db.pool() as pool, db.snapshot(pool) as conn:
        account_id = None if creator is None else (await owner(conn, creator)).id
        return await usage_report.report(conn, account_id, by=by, since=since, until=until, kind=kind)


def _show(found: Report, by: By) -> None:
    rows = [_line(by, row.subject or "–", row) for row in found.rows]
    if found.total:
        rows.append(_line(by, "total", found.total))
    begun = f"{found.in_progress} paid calls are not at rest yet." if found.in_progress else ""
    output.table(rows, empty=begun or f"Nothing was sold from {found.since} to {found.until}.")
    if rows and begun:
        output.line(f"\n{begun}")
    if found.causes:
        output.line()
        output.table(
            (
                {"cause": one.detail, "fault": one.fault, "calls": one.calls, "charged": one.charged, "": one.advice}
                for one in found.causes
            ),
            empty="",
        )
    if found.total and found.total.refunds:
        due = usd(Decimal(found.total.due_atomic).scaleb(-6))
        output.line(f"\n{found.total.refunds} calls were or are to be refunded; {due} USDC are due.")


def _line(by: By, subject: str, row: Figures) -> dict[str, object]:
    return {
        by: subject,
        "calls": row.calls,
        "answered": share(row.success),
        "cut off": row.truncated,
        "declined": row.declined,
        "failed": row.failed,
        "charged": row.charged,
        "leaked": row.watched,
        "withheld": row.withheld,
        "revenue": usd(Decimal(row.revenue_atomic).scaleb(-6)),
        "cost": usd(row.cost_usd),
        "estimated": "–" if row.estimated_cost_usd is None else usd(row.estimated_cost_usd),
        "unknown": row.cost_unknown,
        "margin": usd(row.margin_usd),
        "p50": seconds(row.p50_ms),
        "p95": seconds(row.p95_ms),
    } | ({"most often": _often(row)} if by in ("resource", "version", "model") else {})


def _often(row: Figures) -> str:
    return "\n".join(f"{detail} {calls}" for detail, calls in row.failures.items())
