"""Executors as processes that can be killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core import db
from tests import doors, forks, servers, shops


@contextmanager
def executor(folder: Path, **changes: str) -> Iterator[forks.Fork]:
    """`instant executor`, on the surroundings that the environment names; stopped at the end of the block.

    Args:
        folder: where its output is kept.
        changes: environment variables that differ.
    """
    environment = os.environ | {"INSTANT_LAUNCH": "executor"} | changes
    output = folder / "executor.log"
    process = forks.start("cli", "executor", environment=environment, output=output, first=doors.meet_prefect)
    try:
        yield process
    finally:
        servers.stop(process)


async def at_work(pool: db.Pool, process: forks.Fork) -> None:
    """Wait until an executor has introduced itself."""
    await shops.until(
        pool,
        "SELECT count(*) > 0 AS done FROM workers WHERE pid = %(pid)s AND kind = 'executor' AND stopped_at IS NULL",
        pid=process.pid,
    )
