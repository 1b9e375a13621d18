"""Metrics of a process without a door, read over HTTP as Prometheus does."""

import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from core import db
from core.executions import queue as execution_queue
from core.executions.queue import Batch
from core.failures import Misconfigured
from core.observability import exposition
from core.observability.gauges import Snapshot, Verdicts
from tests import orders, servers, shops
from tests.scrapes import moved, scrape


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


async def test_takeovers_and_returns_are_counted(pool: db.Pool) -> None:
    """Executions of a dead owner and the rest of a run return to the queue; the next claim counts as a takeover."""
    dead, alive = await orders.hire(pool), await orders.hire(pool)
    ids = await orders.queue(pool, await orders.version(pool), 3)
    port = servers.free_port()
    async with exposition.serving(port):
        url = f"http://127.0.0.1:{port}"
        before = await scrape(url)
        await orders.begin(pool, dead, ids)
        await orders.bury(pool, dead)
        assert (await orders.recover(pool, alive)).freed == 3
        await orders.begin(pool, alive, ids)
        (row, *_) = [await shops.execution(pool, one) for one in ids]
        async with pool.connection() as conn:
            assert len(await execution_queue.release(conn, Batch(row.batch_id, ids), alive)) == 3
        after = await scrape(url)

    assert moved(before, after) == {
        "instant_attempts_total": 6,
        "instant_batch_executions_count": 2,
        "instant_takeovers_total": 3,
        'instant_executions_returned_total{by="launcher"}': 3,
        'instant_executions_returned_total{by="recovery"}': 3,
    }


async def test_who_gives_up_is_counted(pool: db.Pool) -> None:
    """At the takeover limit an execution fails, and the fault is ours."""
    port, (one,) = servers.free_port(), await orders.queue(pool, await orders.version(pool))
    await shops.rows(pool, "UPDATE executions SET takeovers = 99 WHERE id = %(id)s RETURNING id", id=one)
    async with exposition.serving(port):
        before = await scrape(f"http://127.0.0.1:{port}")
        await orders.recover(pool, await orders.hire(pool))
        after = await scrape(f"http://127.0.0.1:{port}")

    assert moved(before, after) == {'instant_executions_finished_total{fault="ours",outcome="failed"}': 1}


async def test_the_port_is_free_afterwards() -> None:
    """The port is open only while the block runs, on loopback only, and not at all without a setting."""
    port = servers.free_port()
    for _ in range(2):
        async with exposition.serving(port):
            assert "process_cpu_seconds_total" in await scrape(f"http://127.0.0.1:{port}")
            with socket.socket() as elsewhere:
                # This would be in use if it listened on every address.
                elsewhere.bind(("127.0.0.2", port))
    async with exposition.serving(None), httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"http://127.0.0.1:{port}/metrics")


async def test_a_taken_port_is_a_clear_error() -> None:
    """The error names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=f"{port} is taken; set INSTANT_METRICS_PORT"):
            async with exposition.serving(port):
                pass


def test_the_operators_page_names_every_series() -> None:
    """The page names every series, and each series on it, alerts included, exists."""
    page = (Path(__file__).parents[3] / "docs" / "operators.md").read_text()
    section = page.partition("## Metrics")[2].partition("\n## ")[0]
    told = {re.sub("_(count|sum|bucket)$", "", name) for name in re.findall(r"\binstant_[a-z_]+", section)}

    text, _ = exposition.exposition("", Snapshot({}, 0, {}, {}, 0, 0, 0, {}, []), Verdicts("agree", {}, {}))

    assert told == set(re.findall(r"(?m)^# TYPE (instant_[a-z_]+) ", text.decode()))
