"""The monthly partitions of the usage log: created, missed, and dropped."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.errors import ForeignKeyViolation, UniqueViolation
from yoyo import get_backend, read_migrations

from core import db
from core.db.migrate import MIGRATIONS, migrate
from core.payments import reconciliation
from core.reporting import partitions as usage_partitions
from core.reporting import report as usage_report
from core.reporting import rollup as usage_rollup
from core.resources import versions
from core.settings import settings
from tests import histories, servers, shops
from tests.core.reporting.test_rollup import calls, is_exact_now

OLD = datetime(2023, 5, 17, 9, tzinfo=UTC)


async def partitions(pool: db.Pool) -> dict[str, int]:
    """The months that have a partition, or rows without one, with their rows."""
    rows = await shops.rows(pool, "SELECT tableoid::regclass::text AS name, count(*) AS rows FROM usage_log GROUP BY 1")
    names = await shops.rows(
        pool,
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits JOIN pg_class ON"
        " pg_class.oid = inhparent WHERE pg_class.relname = 'usage_log'",
    )
    return {row.name: 0 for row in names} | {row.name: row.rows for row in rows}


async def sell(pool: db.Pool, sold: versions.Version, at: datetime, ending: histories.Ending) -> object:
    async with pool.connection() as conn:
        return await histories.sell(conn, sold, at, ending)


async def test_one_row_per_round_whatever_its_month(pool: db.Pool, sold: versions.Version) -> None:
    """Neither the same round nor the same round with another time is inserted twice, with or without a partition."""
    copy = (
        "INSERT INTO usage_log (execution_id, round, created_at, kind, account_id, version_id, model_id,"
        " amount_atomic, outcome, sends, spent_usd, total_ms) SELECT execution_id, round, created_at + %(later)s,"
        " kind, account_id, version_id, model_id, amount_atomic, outcome, sends, 0, 0 FROM usage_log"
    )
    for at in (OLD, datetime.now(UTC)):
        await sell(pool, sold, at, histories.Ending())
    for later, refusal in ((timedelta(0), UniqueViolation), (timedelta(days=40), ForeignKeyViolation)):
        with pytest.raises(refusal):
            async with pool.connection() as conn:
                await conn.execute(copy.encode(), {"later": later})


async def test_a_year_without_the_schedule_loses_nothing(pool: db.Pool, sold: versions.Version) -> None:
    """Rows of months without a partition are logged, counted, and moved to it once it exists; counts stay exact."""
    months = [datetime(2024 + number // 12, number % 12 + 1, 15, tzinfo=UTC) for number in range(12)]
    for at in months:
        await sell(pool, sold, at, histories.Ending())
    await usage_rollup.roll_up(pool)
    assert (await partitions(pool))["usage_log_default"] == 12

    made = await usage_partitions.create_months(pool)

    found = await partitions(pool)
    assert found["usage_log_default"] == 0
    assert {name for name, rows in found.items() if rows} == {f"usage_log_{at:%Y_%m}" for at in months}
    assert made == [at.replace(day=1) for at in months]
    assert await is_exact_now(pool) == set()
    assert await calls(pool) == 12
    await sell(pool, sold, months[0], histories.FAILED)
    assert (await partitions(pool))["usage_log_2024_01"] == 2
    assert await usage_partitions.create_months(pool) == []


async def test_months_are_made_ahead(pool: db.Pool) -> None:
    """Partitions of this month and the next two exist from the start, and are created again when they are missing."""
    now = datetime.now(UTC)
    ahead = [datetime(now.year + (now.month - 1 + more) // 12, (now.month - 1 + more) % 12 + 1, 1) for more in range(3)]
    names = {f"usage_log_{month:%Y_%m}" for month in ahead}
    assert names < set(await partitions(pool))
    async with pool.connection() as conn:
        await conn.execute("SET LOCAL ROLE instant_owner")
        await conn.execute(f"DROP TABLE {max(names)}".encode())

    assert [f"usage_log_{month:%Y_%m}" for month in await usage_partitions.create_months(pool)] == [max(names)]


async def test_what_is_old_is_dropped_and_stays_counted(pool: db.Pool, sold: versions.Version) -> None:
    """Sums, histograms and books are the same after the drop, also after a complete recount."""
    for ending in (histories.Ending(), histories.FAILED, histories.CHARGED):
        await sell(pool, sold, OLD, ending)
    await sell(pool, sold, OLD + timedelta(days=40), histories.Ending())
    await sell(pool, sold, datetime.now(UTC), histories.Ending())
    await usage_partitions.create_months(pool)
    uncounted = await usage_partitions.drop_months(pool)
    await usage_rollup.roll_up(pool)
    before = await sums(pool)

    dropped = await usage_partitions.drop_months(pool)

    assert uncounted.log_rows == {}
    assert [(kept.month, kept.unfinished) for kept in uncounted.kept] == [(month, 0) for month in dropped.log_rows]
    assert dropped.log_rows == {datetime(2023, 5, 1, tzinfo=UTC): 3, datetime(2023, 6, 1, tzinfo=UTC): 1}
    assert dropped.kept == []
    assert [name for name in await partitions(pool) if name.startswith("usage_log_2023")] == []
    async with pool.connection() as conn:
        await usage_rollup.mark(conn, OLD - timedelta(days=900))
    await usage_rollup.roll_up(pool)
    assert await sums(pool) == before
    assert [
        one.code for one in (await reconciliation.compare_ledger(pool)).differences if one.code.startswith("usage")
    ] == []


async def test_what_is_logged_after_its_month_was_dropped_is_added(pool: db.Pool, sold: versions.Version) -> None:
    """Such a row is unexpected, but it is accepted, and its counts are added to the existing ones."""
    await sell(pool, sold, OLD, histories.Ending())
    await usage_partitions.create_months(pool)
    for reported in (2, 3):
        await usage_rollup.roll_up(pool)
        assert list((await usage_partitions.drop_months(pool)).log_rows.values()) == [1]
        await sell(pool, sold, OLD, histories.Ending())
        # A report has both before and after it is counted.
        for by in ("hour", "day"):
            async with db.snapshot(pool) as conn:
                day = {"since": OLD.date(), "until": OLD.date() + timedelta(days=1)}
                (row,) = (await usage_report.report(conn, None, by=by, **day)).rows
                assert row.calls == reported
        await usage_rollup.roll_up(pool)
        await usage_partitions.create_months(pool)

    assert await calls(pool) == 3
    assert "usage_dropped" not in {one.code for one in (await reconciliation.compare_ledger(pool)).differences}


@pytest.mark.parametrize(
    "unfinished",
    [
        "UPDATE executions SET state = 'running', code = NULL, fault = NULL, finished_at = NULL",
        "UPDATE executions SET logged_round = 0",
        "UPDATE executions SET rerun_until = now() + interval '1 hour'",
        "UPDATE payments SET state = 'unknown', decided_at = NULL",
        "UPDATE sends SET cost_usd = NULL, sent_at = now() - interval '6 days'",
    ],
)
async def test_what_can_still_be_logged_keeps_its_month(pool: db.Pool, sold: versions.Version, unfinished: str) -> None:
    """A month stays, however old, for a call that runs, is not logged, may be re-run or land, or lacks its cost."""
    await sell(pool, sold, OLD, histories.CHARGED)
    await usage_partitions.create_months(pool)
    await usage_rollup.roll_up(pool)
    async with pool.connection() as conn:
        await conn.execute("SET LOCAL ROLE instant_owner")
        await conn.execute("ALTER TABLE payments DISABLE TRIGGER payment_transition")
        await conn.execute(unfinished.encode())
        if "payments" in unfinished:
            await conn.execute("UPDATE executions SET state = 'held', code = NULL, fault = NULL, finished_at = NULL")

    dropped = await usage_partitions.drop_months(pool)

    assert dropped == usage_partitions.Dropped({}, [usage_partitions.Kept(datetime(2023, 5, 1, tzinfo=UTC), 1)])


async def test_what_nobody_will_ask_for_keeps_no_month(pool: db.Pool, sold: versions.Version) -> None:
    """A cost that stayed unknown for a week stays at its worst case, in the log and in the counts."""
    await sell(pool, sold, OLD, histories.CHARGED)
    await usage_partitions.create_months(pool)
    await usage_rollup.roll_up(pool)
    await shops.rows(pool, "UPDATE sends SET cost_usd = NULL, sent_at = now() - interval '8 days' RETURNING number")

    assert list((await usage_partitions.drop_months(pool)).log_rows.values()) == [1]


async def test_months_are_kept_as_long_as_the_settings_say(pool: db.Pool, sold: versions.Version) -> None:
    """The month that has just passed the limit is dropped, and the one after it stays."""
    now = datetime.now(UTC)
    edge = now.year * 12 + now.month - 1 - settings().usage_kept_months
    months = [datetime(number // 12, number % 12 + 1, 28, tzinfo=UTC) for number in (edge - 1, edge)]
    for at in months:
        await sell(pool, sold, at, histories.Ending())
    await usage_partitions.create_months(pool)
    await usage_rollup.roll_up(pool)

    assert list((await usage_partitions.drop_months(pool)).log_rows) == [months[0].replace(day=1)]


@pytest.mark.parametrize(
    "corruption",
    [
        "UPDATE usage_rollup SET revenue_atomic = revenue_atomic - 1 WHERE span = 'hour'",
        "UPDATE usage_rollup SET calls = calls + 1 WHERE span = 'hour'",
        "DELETE FROM usage_rollup WHERE span = 'hour'",
        "UPDATE payments SET amount_atomic = amount_atomic + 1",
        "UPDATE executions SET state = 'void', code = NULL, fault = NULL",
    ],
)
async def test_the_books_still_compare_what_was_dropped(pool: db.Pool, sold: versions.Version, corruption: str) -> None:
    """By month, creator and network: the counts equal the ended executions."""
    await sell(pool, sold, OLD, histories.FAILED)
    await usage_partitions.create_months(pool)
    await usage_rollup.roll_up(pool)
    await usage_partitions.drop_months(pool)
    assert "usage_dropped" not in {one.code for one in (await reconciliation.compare_ledger(pool)).differences}
    async with pool.connection() as conn:
        await conn.execute(corruption.encode())

    (found,) = [one for one in (await reconciliation.compare_ledger(pool)).differences if one.code == "usage_dropped"]
    assert (found.network, found.account_id) == ("eip155:402402", sold.account_id)
    assert found.sentence.startswith("2023-05: ")
    later = [
        one.code for one in (await reconciliation.compare_ledger(pool, since=OLD + timedelta(days=40))).differences
    ]
    assert "usage_dropped" not in later


def test_a_running_shop_is_migrated_with_its_log(postgres: str) -> None:
    """Rows of the former single table are all there, with the time of their execution, and marked to be counted."""
    with servers.our_database(postgres, "grown") as url:
        backend = get_backend(urlsplit(url)._replace(scheme="postgresql+psycopg").geturl())
        before = read_migrations(str(MIGRATIONS)).filter(lambda one: one.id < "0003")
        backend.apply_migrations(backend.to_apply(before))
        backend.connection.close()
        with psycopg.connect(url) as conn:
            conn.execute(_GROWN)
        migrate(url, "sandbox")
        with psycopg.connect(url) as conn:
            rows = conn.execute(
                "SELECT usage_log.round, usage_log.created_at = executions.created_at, usage_log.detail, spent_usd,"
                " charged, cost_usd, usage_log.tableoid::regclass::text FROM usage_log"
                " JOIN executions ON executions.id = execution_id ORDER BY executions.created_at, usage_log.round"
            ).fetchall()
            marks = conn.execute("SELECT count(DISTINCT starts_at) FROM usage_dirty WHERE span = 'hour'").fetchone()

    assert rows == [
        (1, True, "provider_timeout", 2, True, None, "usage_log_2024_02"),
        (2, True, "provider_503", 0, False, None, "usage_log_2024_02"),
        (1, True, None, 1, False, 1, "usage_log_2024_03"),
    ]
    assert marks == (2,)


# Two executions as they were before the log had months, without what else a shop has: one failed at the provider, was
# re-run a day later and failed again; one succeeded.
_GROWN = """
SET session_replication_role = replica;
INSERT INTO executions (
    id, kind, account_id, version_id, state, code, fault, detail, round, sealed_inputs, sealed_result, logged_round,
    created_at, finished_at
) VALUES
    (md5('a')::uuid, 'test', md5('x')::uuid, md5('v')::uuid, 'failed', 'resource_unavailable', 'provider',
        'provider_503', 2, '', NULL, 2, '2024-02-29 23:59Z', '2024-03-01 23:59Z'),
    (md5('b')::uuid, 'test', md5('x')::uuid, md5('v')::uuid, 'succeeded', NULL, NULL, NULL, 1, '', '', 1,
        '2024-03-01 00:00Z', '2024-03-01 00:01Z');
INSERT INTO attempts (id, execution_id, round, reason, worker_id, outcome) VALUES
    (md5('1')::uuid, md5('a')::uuid, 1, 'first', md5('w')::uuid, 'provider_timeout'),
    (md5('2')::uuid, md5('a')::uuid, 2, 'rerun', md5('w')::uuid, 'provider_503');
INSERT INTO reservations (execution_id, round, account_id, day, reserved_usd, spent_usd, released_at) VALUES
    (md5('a')::uuid, 1, md5('x')::uuid, '2024-02-29', 2, 2, now()),
    (md5('a')::uuid, 2, md5('x')::uuid, '2024-03-01', 2, 0, now()),
    (md5('b')::uuid, 1, md5('x')::uuid, '2024-03-01', 2, 1, now());
INSERT INTO usage_log (
    execution_id, round, kind, account_id, version_id, model_id, amount_atomic, outcome, code, fault, sends, cost_usd,
    total_ms, logged_at
) VALUES
    (md5('a')::uuid, 1, 'test', md5('x')::uuid, md5('v')::uuid, 'm', 0, 'failed', 'generation_timeout', 'provider', 1,
        NULL, 5000, '2024-03-01 00:01Z'),
    (md5('a')::uuid, 2, 'test', md5('x')::uuid, md5('v')::uuid, 'm', 0, 'failed', 'resource_unavailable', 'provider', 1,
        NULL, 6000, '2024-03-01 23:59Z'),
    (md5('b')::uuid, 1, 'test', md5('x')::uuid, md5('v')::uuid, 'm', 0, 'succeeded', NULL, NULL, 1, 1, 7000,
        '2024-03-01 00:01Z');
"""


async def sums(pool: db.Pool) -> list[object]:
    """All counts, by span and start."""
    return await shops.rows(
        pool,
        "SELECT span, starts_at, model_served, sum(calls) AS calls, sum(revenue_atomic) AS revenue,"
        " sum(spent_usd) AS spent, sum(charged) AS charged, histogram_sum(total) AS total"
        " FROM usage_rollup GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )
