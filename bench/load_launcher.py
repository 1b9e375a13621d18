"""Measure the launcher alone: paid rows are queued one by one, and Postgres times each from queued to call begun."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from bench import load_rows
from bench.load_arrivals import arrive, schedule
from bench.load_cells import Cell, Latency
from bench.load_cpu import metered, per_call
from bench.load_rows import Row
from bench.load_stage import Stage
from bench.load_upstream import Upstream
from core import db
from tests.shops import Shop

_WARM_UP = 12

_LEFT = "SELECT count(*) AS left FROM executions WHERE state IN ('queued', 'running')"
_OUTCOMES = """
SELECT executions.id, executions.state, extract(epoch FROM queued_at)::float8 AS queued,
    extract(epoch FROM executions.call_started_at)::float8 AS begun,
    extract(epoch FROM finished_at)::float8 AS finished, attempts.flow_run_id
FROM executions LEFT JOIN attempts ON attempts.id = executions.attempt_id
WHERE executions.id = ANY(%s)
"""


async def warm_up(pool: db.Pool, sellers: Sequence[Shop], calls: int = _WARM_UP) -> None:
    """Run first calls without timing them, because a launcher's first runs import and connect."""
    rows = await load_rows.prepare(pool, sellers, calls)
    await arrive([0.2 * number for number in range(calls)], lambda number: load_rows.queue(pool, rows[number]))
    await at_rest(pool, 30)


async def measure(
    on: Stage,
    pool: db.Pool,
    sellers: Sequence[Shop],
    contestant: str,
    upstream: Upstream,
    rate: float,
    seconds: float,
    patience: float,
) -> Cell:
    """Measure one cell. Executions that are unfinished some time after the last arrival have failed.

    Args:
        on: the processes that the launcher needs.
        pool: our database.
        sellers: the called prompts' sellers.
        contestant: the launcher's name.
        upstream: the provider's latency.
        rate: arrivals per second.
        seconds: how long they arrive.
        patience: seconds after the last arrival, in addition to the provider's slowest answer.
    """
    times = schedule(rate, seconds)
    rows = await load_rows.prepare(pool, sellers, len(times))
    async with metered(on) as used:
        punctuality = await arrive(times, lambda number: load_rows.queue(pool, rows[number]))
        await at_rest(pool, patience + upstream.slowest)
    async with pool.connection() as conn:
        outcomes = await (await conn.execute(_OUTCOMES, [[row.id for row in rows]])).fetchall()
    await load_rows.forget(pool)
    return _cell(rows, outcomes, contestant, upstream, rate, seconds, used, punctuality.p99_ms)


def _cell(
    rows: Sequence[Row],
    outcomes: Sequence[Any],
    contestant: str,
    upstream: Upstream,
    rate: float,
    seconds: float,
    used: dict[str, float],
    late_ms: float,
) -> Cell:
    took = {row.id: upstream.seconds(row.topic) for row in rows}
    answered = [one for one in outcomes if one.state == "succeeded"]
    begun = [1000 * (one.begun - one.queued) for one in outcomes if one.begun is not None]
    first = min(one.queued for one in outcomes if one.queued is not None)
    last = max((one.finished - took[one.id] for one in answered), default=first + 1)
    return Cell(
        level="launcher",
        contestant=contestant,
        upstream=upstream.name,
        rate=rate,
        seconds=seconds,
        arrivals=len(rows),
        answered=len(answered),
        added=Latency.of(begun),
        whole=Latency.of([1000 * (one.finished - one.queued - took[one.id]) for one in answered]),
        per_second=len(answered) / max(last - first, 0.001),
        runs=len({one.flow_run_id for one in outcomes if one.flow_run_id}),
        cpu_ms=per_call(used, len(answered)),
        late_ms=round(late_ms, 1),
    )


async def at_rest(pool: db.Pool, seconds: float) -> None:
    """Wait until no execution is queued or running, for a limited time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        async with pool.connection() as conn:
            row = await (await conn.execute(_LEFT)).fetchone()
        if row and row.left == 0:
            return
        await asyncio.sleep(0.25)
