"""Processes that a drill kills are dead, come back, and are told apart from processes that ended by themselves."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from deployments import postgres as embedded
from drills import kept
from tests import shops


@asynccontextmanager
async def sleeping() -> AsyncIterator[kept.Process]:
    """An idle process, killed at the end of the block."""
    process = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


async def test_struck() -> None:
    """Its successor is another process, and nothing is reported lost."""
    async with kept.Kept("sleeper", sleeping) as sleeper:
        first = sleeper.pid
        await sleeper.strike()

        assert first != sleeper.pid
        assert not psutil.pid_exists(first or 0)
    assert sleeper.lost == 0


async def test_died_by_itself() -> None:
    """It is started again, and the drill counts that."""
    async with kept.Kept("sleeper", sleeping) as sleeper:
        first = sleeper.pid
        os.kill(first or 0, signal.SIGTERM)

        async def is_another() -> bool:
            return sleeper.pid != first

        await shops.eventually(is_another)
        assert sleeper.lost == 1


async def test_does_not_start() -> None:
    """It is started again, and the drill counts that."""
    tries = []

    @asynccontextmanager
    async def late() -> AsyncIterator[kept.Process]:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("not yet")
        async with sleeping() as process:
            yield process

    async with kept.Kept("sleeper", late) as sleeper:
        assert sleeper.lost == 1


async def test_postgres_is_killed(passable: Path) -> None:
    """All its processes die at once; committed rows are there when it is back, and all connections are gone."""
    with embedded.running(passable) as urls, psycopg.connect(urls.superuser) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 1 AS number")
        conn.commit()
        await kept.Postgres(passable).strike()

        with psycopg.connect(urls.superuser) as again:
            row = again.execute("SELECT number, (SELECT setting FROM pg_settings WHERE name = 'fsync') FROM kept")
            assert row.fetchone() == (1, "on")
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
