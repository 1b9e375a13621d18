"""Compare the usage rollup with a bare GROUP BY over the same rows, and the next hour of a small log with a big one's.

SQL makes the rows in the embedded Postgres: 90 days of calls of 20 prompts, of which 5 % fail. The bare statement
counts and sums by the same hours, and does nothing else: no histograms, no marks, no days and months, no writes, and
Postgres may use all cores. A second one, reported beside it, also makes the histograms. INSTANT_BENCH_ROWS reduces the
size; with few rows in an hour, most of the work is writing the counts.
"""

import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from core import db
from core.db.migrate import migrate
from core.reporting import rollup as usage_rollup
from core.secrets.vault import new_master_key
from core.settings import settings
from deployments import postgres

ROWS = int(os.environ.get("INSTANT_BENCH_ROWS", "10_000_000"))
DAYS = 90
HOURS = 8
ROUNDS = 2
MOST_RATIO, MOST_GROWTH = 1.5, 1.2

# The tenth day of a month: then the month has as many days to sum with a tenth of DAYS in the log as with all of them.
_NOW = datetime(2026, 11, 10, tzinfo=UTC)

_PREPARE = (
    "ALTER TABLE usage_log DROP CONSTRAINT usage_log_pkey",
    "ALTER TABLE usage_log DROP CONSTRAINT usage_log_execution_id_created_at_fkey",
    "DROP INDEX usage_log_account",
)

_MAKE = """
INSERT INTO usage_log (
    execution_id, round, created_at, kind, account_id, version_id, model_id, model_served, network, amount_atomic,
    outcome, code, fault, detail, sends, input_tokens, output_tokens, cost_usd, spent_usd, settle_ms, queue_ms,
    upstream_ms, total_ms, generation_id
)
SELECT gen_random_uuid(), 1, at, CASE WHEN n %% 50 = 0 THEN 'test' ELSE 'paid' END, account_id, version_id, model,
    CASE WHEN fails THEN NULL ELSE model || '-2026-01-01' END, CASE WHEN n %% 50 = 0 THEN NULL ELSE 'eip155:8453' END,
    CASE WHEN n %% 50 = 0 THEN 0 ELSE 10000 END, CASE WHEN fails THEN 'failed' ELSE 'succeeded' END,
    CASE WHEN fails THEN 'resource_unavailable' END, CASE WHEN fails THEN 'provider' END,
    CASE WHEN fails THEN 'provider_503' END, 1, 100 + n %% 1900, CASE WHEN fails THEN NULL ELSE n %% 500 END,
    CASE WHEN fails THEN NULL ELSE cost END, CASE WHEN fails THEN 0 ELSE cost END, 300 + n %% 700, 20 + n %% 100, ms,
    ms + 500, CASE WHEN fails THEN NULL ELSE 'gen-' || n END
FROM (
    SELECT n, %(first)s::timestamptz + (n - %(low)s) * %(step)s::interval AS at,
        n * 7919::bigint %% 20 = 0 AS fails, (1000 + n * 7919::bigint %% 9000)::integer AS ms,
        (n %% 1000) * 0.00001 AS cost, n * 31::bigint %% 97 %% 20 AS sold
    FROM generate_series(%(low)s::integer, %(high)s::integer - 1) AS n
) AS made
JOIN (
    SELECT sold, md5('account' || sold %% 10)::uuid AS account_id, md5('version' || sold)::uuid AS version_id,
        'vendor/model-' || sold %% 7 AS model
    FROM generate_series(0, 19) AS sold
) AS prompts USING (sold)
"""

_BARE = """
EXPLAIN (ANALYZE, TIMING OFF)
SELECT date_trunc('hour', created_at), version_id, model_served, network, kind, count(*),
    count(*) FILTER (WHERE outcome = 'succeeded'), count(*) FILTER (WHERE outcome = 'failed'),
    count(*) FILTER (WHERE outcome = 'declined'), count(*) FILTER (WHERE fault = 'buyer'),
    count(*) FILTER (WHERE fault = 'creator'), count(*) FILTER (WHERE fault = 'provider'),
    count(*) FILTER (WHERE fault = 'ours'), count(*) FILTER (WHERE charged), sum(sends), sum(input_tokens),
    sum(output_tokens), sum(amount_atomic), sum(cost_usd), count(*) FILTER (WHERE cost_usd IS NULL AND spent_usd > 0),
    sum(spent_usd) {}
FROM usage_log
GROUP BY 1, 2, 3, 4, 5
"""
_HISTOGRAMS = "".join(
    f", histogram(array_agg(histogram_bucket({name})))" for name in ("settle_ms", "queue_ms", "upstream_ms", "total_ms")
)


def main() -> None:
    """Run the benchmark and print the result."""
    for name in [name for name in os.environ if name.startswith(("INSTANT_", "PREFECT_"))]:
        del os.environ[name]
    os.environ |= {"INSTANT_MODE": "sandbox", "INSTANT_MASTER_KEYS": new_master_key("bench")}
    with (
        tempfile.TemporaryDirectory(prefix="instant-bench-", ignore_cleanup_errors=True) as folder,
        postgres.running(Path(folder)) as embedded,
    ):
        # The table's owner, who may drop what slows the filling down.
        os.environ |= embedded.environment() | {"INSTANT_DATABASE_URL": embedded.owner, "INSTANT_STATE_DIR": folder}
        settings.cache_clear()
        migrate(embedded.owner, "sandbox")
        asyncio.run(_measure())


async def _measure() -> None:
    async with db.pool() as pool:
        async with pool.connection() as conn:
            for statement in _PREPARE:
                await conn.execute(statement.encode())
            for days in range(0, DAYS + 31, 28):
                await conn.execute("SELECT make_usage_month(%s)", [_NOW - timedelta(days=DAYS - days)])
        tenth = _NOW - timedelta(days=DAYS / 10)
        await _make(pool, ROWS - ROWS // 10, ROWS, tenth, _NOW)
        await _roll_up(pool)
        few = await _next_hours(pool)
        await _make(pool, 0, ROWS - ROWS // 10, _NOW - timedelta(days=DAYS), tenth)
        full, bare, alike = [], [], []
        for number in range(ROUNDS):
            bare.append(await _seconds(pool, _BARE.format("")))
            full.append(await _roll_up(pool))
            alike.append(await _seconds(pool, _BARE.format(_HISTOGRAMS)))
            _say(f"round {number + 1} of {ROUNDS}")
        many = await _next_hours(pool)
    _report(min(full), min(bare), min(alike), few, many)


async def _make(pool: db.Pool, low: int, high: int, first: datetime, last: datetime) -> None:
    """Insert rows number `low` to `high`, evenly between two times, over two connections; marks are made later."""
    began, middle = time.perf_counter(), (low + high) // 2

    async def part(low: int, high: int, first: datetime, last: datetime) -> None:
        async with pool.connection() as conn:
            await conn.execute("SET LOCAL session_replication_role = replica")
            step = (last - first) / (high - low)
            await conn.execute(_MAKE.encode(), {"low": low, "high": high, "first": first, "step": step})

    half = first + (last - first) / 2
    await asyncio.gather(part(low, middle, first, half), part(middle, high, half, last))
    async with db.autocommit(pool) as conn:
        await conn.execute("VACUUM ANALYZE usage_log")
    _say(f"made {high - low:,} rows in {time.perf_counter() - began:.0f} s")


async def _roll_up(pool: db.Pool) -> float:
    """Count everything again; return the seconds."""
    began = time.perf_counter()
    async with pool.connection() as conn:
        await usage_rollup.mark(conn, _NOW - timedelta(days=DAYS + 1))
    await usage_rollup.roll_up(pool)
    seconds = time.perf_counter() - began
    async with db.autocommit(pool) as conn:
        await conn.execute("VACUUM ANALYZE usage_rollup, usage_dirty")
    return seconds


async def _next_hours(pool: db.Pool) -> float:
    """Log and count some hours one after the other, and delete them; return the median of the seconds for counting."""
    took, calls = [], ROWS // DAYS // 24
    for number in range(HOURS):
        hour = _NOW + timedelta(hours=number)
        await _make(pool, ROWS + number * calls, ROWS + (number + 1) * calls, hour, hour + timedelta(hours=1))
        async with pool.connection() as conn:
            # Each call had a transaction, and so a mark, of its own.
            await conn.execute(
                "INSERT INTO usage_dirty SELECT 'hour', %s FROM generate_series(1, %s::integer)", [hour, calls]
            )
        began = time.perf_counter()
        await usage_rollup.roll_up(pool)
        took.append(time.perf_counter() - began)
    async with pool.connection() as conn:
        await conn.execute("DELETE FROM usage_log WHERE created_at >= %s", [_NOW])
        await conn.execute("TRUNCATE usage_dirty, usage_rollup")
    return median(took)


async def _seconds(pool: db.Pool, query: str) -> float:
    """Return the seconds that a query takes."""
    async with db.autocommit(pool) as conn:
        began = time.perf_counter()
        await conn.execute(query.encode())
        return time.perf_counter() - began


def _report(full: float, bare: float, alike: float, few: float, many: float) -> None:
    ratios = {"full": round(full / bare, 2), "alike": round(full / alike, 2), "next_hour": round(many / few, 2)}
    print(f"Full rollup of {ROWS:,} rows over {DAYS} days / a bare GROUP BY over the same rows:")
    print(f"  {ratios['full']:5.2f}   ({full:.1f} / {bare:.1f} s) of counts and sums only")
    print(f"  {ratios['alike']:5.2f}   ({full:.1f} / {alike:.1f} s) with the histograms that the rollup makes too")
    print(f"The next hour of {ROWS // DAYS // 24:,} rows with {ROWS:,} / with {ROWS // 10:,} rows behind it:")
    print(f"  {ratios['next_hour']:5.2f}   ({1000 * many:.0f} / {1000 * few:.0f} ms)")
    print(
        f"Best of {ROUNDS} rounds, medians of {HOURS} hours. Days and months included. Postgres 18 as `instant dev`"
        f" starts it, on {os.cpu_count()} cores; Python {platform.python_version()}."
    )
    ok = ratios["full"] <= MOST_RATIO and ratios["next_hour"] < MOST_GROWTH
    print(json.dumps({"bench": "rollup", "rows": ROWS, "ratios": ratios, "ok": ok}))


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
