"""Measure whole calls over HTTP: at our door from a signed payment to the answer, and at unpaid alternatives.

There are two kinds of load: independent arrivals, and as many concurrent buyers as connections, each with the next call
as soon as the last is answered, which measures the sustained throughput.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus

from bench import load_rows
from bench.load_arrivals import Punctuality, arrive, schedule
from bench.load_asked import Asked
from bench.load_cells import Cell, Latency
from bench.load_cpu import metered, per_call
from bench.load_stage import Stage
from bench.load_upstream import Upstream
from bench.wire import Lines
from core import db

_SINCE = """
SELECT extract(epoch FROM executions.call_started_at - queued_at)::float8 AS seconds, attempts.flow_run_id
FROM executions LEFT JOIN attempts ON attempts.id = executions.attempt_id
WHERE executions.created_at >= %s AND executions.call_started_at IS NOT NULL
"""


@dataclass(frozen=True)
class Target:
    """The server under load.

    Attributes:
        contestant: its name.
        port: its port.
        ask: makes the requested number of requests.
        pool: our database, if the server is our door.
    """

    contestant: str
    port: int
    ask: Callable[[int], Awaitable[list[Asked]]]
    pool: db.Pool | None = None


@dataclass
class _Seen:
    """The buyers' measurements: the first request, and each answer's time with the part that is not the provider's."""

    upstream: Upstream
    lines: Lines
    first: float = 0.0
    done: list[float] = field(default_factory=list)
    added_ms: list[float] = field(default_factory=list)

    async def ask(self, asked: Asked) -> None:
        """Send a request, and record the answer."""
        began, took = time.perf_counter(), self.upstream.seconds(asked.topic)
        self.first = self.first or began
        status = await self.lines.ask(asked.wire)
        if status == HTTPStatus.OK:
            done = time.perf_counter() - took
            self.done.append(done)
            self.added_ms.append(1000 * (done - began))


async def warm_up(target: Target) -> None:
    """Run first calls without timing them."""
    lines = Lines(target.port)
    for asked in await target.ask(8):
        await lines.ask(asked.wire)
    lines.close()


async def arriving(on: Stage, target: Target, upstream: Upstream, rate: float, seconds: float) -> Cell:
    """Measure calls at the times of a Poisson process."""
    times = schedule(rate, seconds)
    calls = await target.ask(len(times))

    async def load(seen: _Seen) -> Punctuality:
        return await arrive(times, lambda number: seen.ask(calls[number]))

    return await _cell(on, target, upstream, rate, seconds, len(calls), load)


async def crowding(on: Stage, target: Target, upstream: Upstream, buyers: int, count: int) -> Cell:
    """Measure so many calls of concurrent buyers, each with the next one as soon as the last is answered."""
    calls = await target.ask(count)

    async def load(seen: _Seen) -> Punctuality:
        waiting = iter(calls)

        async def buyer() -> None:
            for asked in waiting:
                await seen.ask(asked)

        await asyncio.gather(*(buyer() for _ in range(buyers)))
        return Punctuality([0.0])

    return replace(await _cell(on, target, upstream, 0, 0, len(calls), load), buyers=buyers)


async def _cell(
    on: Stage,
    target: Target,
    upstream: Upstream,
    rate: float,
    seconds: float,
    arrivals: int,
    load: Callable[[_Seen], Awaitable[Punctuality]],
) -> Cell:
    seen, since = _Seen(upstream, Lines(target.port)), datetime.now(UTC)
    async with metered(on) as used:
        punctuality = await load(seen)
    seen.lines.close()
    whole = added = Latency.of(seen.added_ms)
    runs = 0
    if target.pool:
        async with target.pool.connection() as conn:
            rows = await (await conn.execute(_SINCE, [since])).fetchall()
        added, runs = Latency.of([1000 * row.seconds for row in rows]), len({row.flow_run_id for row in rows} - {None})
        await load_rows.forget(target.pool)
    return Cell(
        level="paid" if target.pool else "unpaid",
        contestant=target.contestant,
        upstream=upstream.name,
        rate=rate,
        seconds=seconds,
        arrivals=arrivals,
        answered=len(seen.done),
        added=added,
        whole=whole,
        per_second=len(seen.done) / max(max(seen.done, default=seen.first + 1) - seen.first, 0.001),
        runs=runs,
        cpu_ms=per_call(used, len(seen.done)),
        late_ms=round(punctuality.p99_ms, 1),
    )
