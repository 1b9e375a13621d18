"""`instant usage`, for programs and for people."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta

from core import db
from tests import forks, histories


def _instant(*arguments: str) -> subprocess.CompletedProcess[str]:
    return forks.run("cli", "usage", *arguments, environment=os.environ)


async def test_what_changed_is_counted_or_everything_since_a_day(own_database: str) -> None:
    """It needs no Prefect server; a second run has nothing to count, unless a day is given."""
    at = datetime.now(UTC) - timedelta(days=2)
    async with db.pool() as pool, pool.connection() as conn:
        sold = await histories.publish(conn)
        await histories.sell(conn, sold, at, histories.Ending())

    first, again = (_instant("rollup", "--json") for _ in range(2))
    since = _instant("rollup", "--since", f"{at:%Y-%m-%d}")
    wrong = _instant("rollup", "--since", "yesterday")

    assert [json.loads(done.stdout)["hours"] for done in (first, again)] == [1, 0]
    assert json.loads(first.stdout)["watermark"].endswith(":00:00+00:00")
    assert first.stderr == ""
    assert since.stdout.startswith("Hours counted: ")
    assert (since.returncode, wrong.returncode) == (0, 2)
