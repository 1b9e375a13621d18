"""Measure the door and its ledger alone, without launches: an offer and a settled payment per call."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import httpx

from bench.load_asked import paid
from bench.load_cells import Cell, Latency
from bench.load_cpu import metered, per_call
from bench.load_rows import forget
from bench.load_stage import Stage
from bench.wire import Lines, request
from core import db
from core.settings import settings
from tests.shops import Shop


async def measure(on: Stage, pool: db.Pool, sellers: Sequence[Shop], buyers: int, count: int) -> Cell:
    """Run so many calls of concurrent buyers; one is answered when its payment is settled and committed."""
    calls = await paid(sellers, count, "respond-async")
    paths = [shop.path for shop in sellers]
    statuses, took, lines = Counter[int](), list[float](), Lines(settings().port)
    waiting = iter(enumerate(calls))

    async def buyer() -> None:
        for number, asked in waiting:
            began = time.perf_counter()
            statuses[await lines.ask(request("GET", paths[number % len(paths)]))] += 1
            statuses[await lines.ask(asked.wire)] += 1
            took.append(1000 * (time.perf_counter() - began))

    async with metered(on) as used:
        began = time.perf_counter()
        await asyncio.gather(*(buyer() for _ in range(buyers)))
        async with httpx.AsyncClient(base_url=settings().public_url, trust_env=False) as http:
            while (await http.get("/health/ready")).json()["settling"]:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        seconds = time.perf_counter() - began
    lines.close()
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT count(*) AS queued FROM executions WHERE state = 'queued'")).fetchone()
    await forget(pool)
    assert statuses[402] == count, statuses
    answered = min(statuses[202], row.queued if row else 0)
    cpu_ms = per_call(used, answered)
    added = Latency.of(took)
    return Cell("door", "door", "-", 0, 0, count, answered, added, answered / seconds, cpu_ms=cpu_ms, buyers=buyers)
