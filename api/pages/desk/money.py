"""What was sold, earned and spent: by day, with a chart, and by product; why calls failed, and what is owed."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.authentication import Creator, Identity
from api.door import LimitedDoor
from api.history import read_day
from api.pages.charts import money_by_day
from api.pages.desk.visits import DESK, desk_page
from core import db
from core.failures import InvalidInput
from core.reporting import report as usage_report

router = APIRouter(include_in_schema=False)

_MOST_BARS: Final = 92


@router.get(f"{DESK}/money")
async def money(
    request: Request,
    door: LimitedDoor,
    creator: Creator,
    identity: Identity,
    since: Annotated[str, Query(max_length=20)] = "",
    until: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Of the last 30 days, or of the days that are asked for."""
    wrong, first, end = "", None, None
    try:
        first, end = read_day("since", since), read_day("until", until)
        usage_report.days_of(first, end)
    except InvalidInput as refusal:
        wrong, first, end = "; ".join(f"{name} {told}" for name, told in refusal.fields.items()), None, None
    async with db.snapshot(door.pool) as conn:
        await db.act_for(conn, creator.id)
        by_day = await usage_report.report(conn, creator.id, by="day", since=first, until=end, kind="paid")
        by_product = await usage_report.report(conn, creator.id, by="resource", since=first, until=end, kind="paid")
        tests = await usage_report.report(conn, creator.id, by="day", since=first, until=end, kind="test")
    days = _days(by_day)
    return desk_page(
        request,
        identity,
        "money.html",
        status=400 if wrong else 200,
        wrong=wrong,
        report=by_day,
        products=by_product.rows,
        causes=by_product.causes,
        tests=tests.total,
        chart=money_by_day(days, "Revenue and cost of models by day; the table below has the numbers.")
        if by_day.total and len(days) <= _MOST_BARS
        else None,
        download="/me/usage?" + urlencode({"format": "csv", "since": by_day.since, "until": by_day.until}),
    )


def _days(report: usage_report.Report) -> list[tuple[date, Decimal, Decimal]]:
    """Return revenue and cost of each day in turn, in US dollars; 0 of a day without calls."""
    sums = {row.subject: (Decimal(row.revenue_atomic).scaleb(-6), row.cost_usd) for row in report.rows}
    days = [report.since + timedelta(days=place) for place in range((report.until - report.since).days)]
    return [(day, *sums.get(day.isoformat(), (Decimal(0), Decimal(0)))) for day in days]
