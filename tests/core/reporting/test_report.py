"""Reports: figures, pages and charts."""

import base64
import re
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import db
from core.failures import InvalidInput
from core.reporting import day_page
from core.reporting import report as usage_report
from core.reporting.report import Figures
from core.resources import versions
from tests import histories, orders, past
from tests.past import Calls, happened

NOON = datetime(2026, 3, 14, 12, 30, tzinfo=UTC)
DAYS = {"since": date(2026, 3, 1), "until": date(2026, 4, 1)}


@pytest.fixture
async def sold(pool: db.Pool) -> versions.Version:
    return await orders.version(pool)


async def test_every_figure(pool: db.Pool, sold: versions.Version) -> None:
    """Each figure is exact in every grouping."""
    await happened(
        pool,
        sold,
        [
            Calls(NOON, 7, cost_usd="0.002", total_ms=1000),
            Calls(NOON, 2, "failed", "provider_402", "creator", cost_usd=None),
            Calls(NOON, 1, "failed", "provider_timeout", "provider", cost_usd=None, spent_usd="0.05", total_ms=60_000),
            Calls(NOON, 1, "declined", "provider_refused", "buyer", cost_usd="0.001"),
        ],
    )
    await happened(pool, sold, [Calls(NOON, 3)], kind="test")
    handles = {
        "hour": "2026-03-14T12:00Z",
        "day": "2026-03-14",
        "month": "2026-03",
        "resource": f"/@{sold.handle}/haiku",
        "creator": sold.handle,
        "model": sold.model_id,
        "network": "eip155:402402",
    }
    for by, subject in handles.items():
        async with db.snapshot(pool) as conn:
            found = await usage_report.report(conn, None, by=by, kind="paid", **DAYS)
        (row,) = found.rows
        assert row.subject == subject
        assert (row.calls, row.succeeded, row.failed, row.declined, row.charged) == (11, 7, 3, 1, 2)
        assert (row.fault_creator, row.fault_provider, row.fault_ours) == (2, 1, 0)
        assert (row.revenue_atomic, row.cost_usd, row.cost_unknown) == (11 * sold.price_atomic, Decimal("0.015"), 1)
        assert row.margin_usd == Decimal(11 * sold.price_atomic).scaleb(-6) - Decimal("0.065")
        assert row.success == Decimal("0.7")
        assert row.p50_ms == pytest.approx(1000, rel=0.1)
        assert row.p99_ms == pytest.approx(60_000, rel=0.1)
        assert found.total
        assert usage_report.document(found.total) == usage_report.document(row) | {"subject": None, "failures": {}}
        often = {"provider_402": 2, "provider_refused": 1, "provider_timeout": 1}
        assert row.failures == (often if by in ("resource", "creator", "model") else {})
        # What `past` says was used, at the prices of `selling.model`.
        assert row.estimated_cost_usd == 11 * (100 * Decimal("0.00000001") + 50 * Decimal("0.0000001"))
        assert [(one.detail, one.fault, one.calls) for one in found.causes] == [
            ("provider_402", "creator", 2),
            ("provider_refused", "buyer", 1),
            ("provider_timeout", "provider", 1),
        ]
        assert all(one.advice for one in found.causes)


async def test_a_model_is_named_as_in_the_catalog(pool: db.Pool) -> None:
    """Its dated name is the same model, and so is a call that it never answered: success is that of all its calls."""
    async with pool.connection() as conn:
        sold = await histories.publish(conn)
        dated = '{"canonical_slug": "test/small-2026"}'
        await conn.execute("UPDATE models SET raw = %s::jsonb WHERE id = 'test/small'", [dated])
        for ending in (histories.Ending(), histories.FAILED, histories.FAILED, histories.Ending(model="test/small")):
            await histories.sell(conn, sold, NOON, ending)
    async with db.snapshot(pool) as conn:
        found = await usage_report.report(conn, None, by="model", **DAYS)

    (row,) = found.rows
    assert (row.subject, row.calls, row.success) == ("test/small", 4, Decimal("0.5"))
    assert row.failures == {"provider_503": 2}


async def test_payers_are_for_their_creator(pool: db.Pool) -> None:
    """Each wallet that paid, the best customer first, with the figures of a report; never of all creators."""
    async with pool.connection() as conn:
        sold, other = await histories.publish(conn), await histories.publish(conn)
        big, small = "0x" + "cd" * 20, "0x" + "ab" * 20
        for ending in (histories.Ending(), histories.Ending(), histories.FAILED):
            bought = await histories.sell(conn, sold, NOON, ending)
            await conn.execute(
                "UPDATE payments SET payer = %s WHERE id = (SELECT payment_id FROM executions WHERE id = %s)",
                [big, bought],
            )
        await conn.execute(
            "INSERT INTO refunds (execution_id, payment_id, account_id, amount_atomic, state, reason)"
            " SELECT id, payment_id, account_id, 10000, 'due', 'provider_503' FROM executions WHERE id = %s",
            [bought],
        )
        await histories.sell(conn, sold, NOON, histories.Ending())
        await histories.sell(conn, sold, NOON, histories.Ending(), paid=False)
        await histories.sell(conn, other, NOON, histories.Ending())
    async with db.snapshot(pool) as conn:
        await db.act_for(conn, sold.account_id)
        found = await usage_report.report(conn, sold.account_id, by="payer", **DAYS)
        by_day = await usage_report.report(conn, sold.account_id, by="day", kind="paid", **DAYS)
    assert [(row.subject, row.calls, row.failed, row.refunds, row.due_atomic) for row in found.rows] == [
        (big, 3, 1, 1, 10_000),
        (small, 1, 0, 0, 0),
    ]
    (day,) = by_day.rows
    for name in (
        "calls",
        "revenue_atomic",
        "cost_usd",
        "margin_usd",
        "input_tokens",
        "due_atomic",
        "estimated_cost_usd",
    ):
        assert sum(getattr(row, name) for row in found.rows) == getattr(day, name), name
    assert found.rows[1].p95_ms == pytest.approx(1050, rel=0.1)
    async with db.snapshot(pool) as conn:
        with pytest.raises(InvalidInput) as refused:
            await usage_report.report(conn, None, by="payer", **DAYS)
    assert list(refused.value.fields) == ["by"]


async def test_what_was_just_finished_is_no_lack_of_sales(pool: db.Pool) -> None:
    """Between its end and its row in the log a call counts as not at rest, and not as no sale."""
    async with pool.connection() as conn:
        sold = await histories.publish(conn)
        ended = await histories.sell(conn, sold, NOON, histories.Ending())
        await conn.execute("DELETE FROM usage_log WHERE execution_id = %s", [ended])
        await conn.execute("UPDATE executions SET logged_round = 0 WHERE id = %s", [ended])
    async with db.snapshot(pool) as conn:
        found = await usage_report.report(conn, sold.account_id, by="day", **DAYS)
    assert (found.rows, found.in_progress) == ([], 1)


async def test_cut_off_answers_are_counted_apart(pool: db.Pool, sold: versions.Version) -> None:
    """They are answered, and no whole answers: in hours, days and months they have a figure of their own."""
    await happened(pool, sold, [Calls(NOON, 6, total_ms=1000), Calls(NOON, 2, total_ms=2000)])
    async with pool.connection() as conn:
        await conn.execute("UPDATE usage_log SET truncated = true WHERE total_ms = 2000")
    await past.count(pool)
    for by in ("hour", "day", "month"):
        async with db.snapshot(pool) as conn:
            found = await usage_report.report(conn, None, by=by, **DAYS)
        (row,) = found.rows
        assert (row.calls, row.succeeded, row.truncated, row.failed) == (8, 8, 2, 0)
        assert row.success == Decimal("0.75")


async def test_what_is_owed_and_what_is_not_at_rest(pool: db.Pool) -> None:
    """Refunds are summed with the calls that they are for, and a call that is still running is no lack of sales."""
    async with pool.connection() as conn:
        sold = await histories.publish(conn)
        for state, transaction in (("due", None), ("recorded", "0x" + "a" * 64), ("due", None)):
            execution_id = await histories.sell(conn, sold, NOON, histories.FAILED)
            await conn.execute(
                "INSERT INTO refunds (execution_id, payment_id, account_id, amount_atomic, state, reason, transaction,"
                " decided_at) SELECT id, payment_id, account_id, 10000, %s, 'provider_503', %s::text,"
                " CASE WHEN %s = 'recorded' THEN now() END FROM executions WHERE id = %s",
                [state, transaction, state, execution_id],
            )
        await histories.sell(conn, sold, NOON, histories.Ending())
        running = await histories.sell(conn, sold, NOON + timedelta(days=2), histories.Ending())
        await conn.execute("DELETE FROM usage_log WHERE execution_id = %s", [running])
        await conn.execute(
            "UPDATE executions SET state = 'queued', sealed_result = NULL, finished_at = NULL WHERE id = %s", [running]
        )
    for by in ("day", "version", "network"):
        async with db.snapshot(pool) as conn:
            await db.act_for(conn, sold.account_id)
            found = await usage_report.report(conn, sold.account_id, by=by, **DAYS)
        (row,) = found.rows
        assert row.subject in ("2026-03-14", f"/@{sold.handle}/{sold.slug} v1", "eip155:402402")
        assert (row.calls, row.refunds, row.refunded_atomic, row.due_atomic) == (4, 3, 10_000, 20_000)
        assert found.in_progress == 1


def test_no_cell_is_a_formula() -> None:
    """A provider names the models, and a spreadsheet runs what begins like a formula."""
    zeros: dict[str, Any] = {field.name: Decimal(0) for field in fields(Figures)} | {"failures": {}}
    rows = [Figures(**zeros | {"subject": subject}) for subject in ("=cmd()", "@x", "a\nb", None)]
    found = usage_report.Report(DAYS["since"], DAYS["until"], NOON, 0, rows, None, [])

    assert [line.split(",")[0] for line in usage_report.as_csv(found).splitlines()] == [
        "subject",
        "'=cmd()",
        "'@x",
        "a\\nb",
        "",
    ]


async def test_whose_and_when(pool: db.Pool, sold: versions.Version) -> None:
    """A report covers the creator's own calls, on whole days from the first up to the last."""
    other = await orders.version(pool)
    times = [datetime(2026, 3, 14, tzinfo=UTC), NOON, datetime(2026, 3, 15, tzinfo=UTC) - timedelta(seconds=1)]
    around = [times[0] - timedelta(seconds=1), times[2] + timedelta(seconds=1)]
    await happened(pool, sold, [Calls(at) for at in (*times, *around)])
    await happened(pool, other, [Calls(NOON, 5)])

    day = {"since": date(2026, 3, 14), "until": date(2026, 3, 15)}
    async with pool.connection() as conn:
        mine = await usage_report.report(conn, sold.account_id, **day)
        all_of_them = await usage_report.report(conn, None, by="creator", **day)
        nothing = await usage_report.report(conn, sold.account_id, since=date(2026, 5, 1), until=date(2026, 5, 2))

    assert [(row.subject, row.calls) for row in mine.rows] == [("2026-03-14", 3)]
    assert {row.subject: row.calls for row in all_of_them.rows} == {sold.handle: 3, other.handle: 5}
    assert (nothing.rows, nothing.total, nothing.causes) == ([], None, [])


@given(
    by=st.sampled_from([*usage_report.BY, "nonsense"]),
    since=st.none() | st.dates(),
    until=st.none() | st.dates(),
)
def test_any_days_are_taken_or_refused(by: str, since: date | None, until: date | None) -> None:
    """Any pair of days gives a period that begins before it ends, or an error that names the mistake."""
    try:
        first, end = usage_report.days_of(since, until)
    except InvalidInput as refusal:
        named = refusal.fields.keys()
    else:
        named = set() if first < end else {"neither"}
    assert named <= {"since", "until"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"by": "nonsense"}, "by"),
        ({"since": date(2026, 3, 2), "until": date(2026, 3, 2)}, "since"),
        ({"until": date(1, 1, 1)}, "until"),
        ({"by": "hour", "since": date(2026, 1, 1), "until": date(2026, 3, 2)}, "since"),
    ],
)
async def test_what_cannot_be_asked(pool: db.Pool, wrong: dict[str, object], named: str) -> None:
    async with pool.connection() as conn:
        with pytest.raises(InvalidInput) as refused:
            await usage_report.report(conn, None, **wrong)

    assert refused.value.fields.keys() == {named}


async def test_the_day_on_one_page(pool: db.Pool, sold: versions.Version) -> None:
    """Three columns of figures, slow calls, failures, and a valid image."""
    slow = await orders.version(pool)
    await happened(pool, sold, [Calls(NOON, 8), Calls(NOON - timedelta(days=1), 100)])
    await happened(
        pool,
        slow,
        [Calls(NOON, 3, total_ms=30_000), Calls(NOON, 1, "failed", "provider_402", "creator", cost_usd=None)],
    )

    async with db.snapshot(pool) as conn:
        page = await day_page.compose(conn, NOON)

    assert page.startswith("# Saturday, 14 March 2026 (UTC)")
    assert "| calls | 12 | 100 | 112 |" in page
    assert "| answered | 91.7 % | 100 % | 99.1 % |" in page
    assert page.index(f"/@{slow.handle}/haiku") < page.index(f"/@{sold.handle}/haiku")
    assert (
        "**`provider_402`**: 1 call, 0 charged, fault: creator. Your account at the provider is out of credit" in page
    )
    pictures = re.findall(r"\(data:image/png;base64,([^)]+)\)", page)
    assert [base64.b64decode(one)[:8] for one in pictures] == [b"\x89PNG\r\n\x1a\n"]


async def test_a_day_without_calls_has_its_page(pool: db.Pool) -> None:
    """Dashes, no empty tables, and an empty chart."""
    async with db.snapshot(pool) as conn:
        page = await day_page.compose(conn, datetime(2026, 1, 1, 0, 0, tzinfo=UTC))

    assert "| calls | – | – | – |" in page
    assert "Slowest" not in page
    assert "data:image/png" in page


@given(
    amount=st.decimals(-(10**6), 10**6, places=9),
    part=st.none() | st.decimals(0, 1, places=6),
    milliseconds=st.none() | st.integers(0, 2**22),
)
def test_numbers_for_people(amount: Decimal, part: Decimal | None, milliseconds: int | None) -> None:
    """Short, one per cell, and close to the exact value; 100 % appears only if it is exact."""
    for said in (day_page.usd(amount), day_page.share(part), day_page.seconds(milliseconds)):
        assert 0 < len(said) < 16
        assert "|" not in said
    assert (day_page.share(part) == "100 %") == (part == 1)
    shown = Decimal(day_page.usd(amount).replace("$", "").replace(",", ""))
    assert abs(shown - amount) <= max(abs(amount) / 100, Decimal("0.0000005"))


def test_columns_are_what_is_written() -> None:
    """The CSV has exactly the values of the JSON, in the order of the figures."""
    values: dict[str, Any] = {field.name: 1 for field in fields(Figures)} | {"failures": {}}
    values |= dict.fromkeys(("cost_usd", "margin_usd", "estimated_cost_usd"), Decimal(1))

    assert list(usage_report.document(Figures(**values))) == usage_report.columns()
