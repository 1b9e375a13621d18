"""The flow `usage_rollup`, against a real Prefect server."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from core import db
from flows.usage_rollup import usage_rollup
from tests import histories, shops
from tests.core.reporting.test_rollup import calls, is_exact

pytestmark = pytest.mark.usefixtures("own_database", "prefect_server")


def stored_results() -> set[Path]:
    """The files of Prefect's result storage."""
    return set(Path(os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"]).rglob("*"))


async def test_usage_is_counted_with_progress_to_be_seen() -> None:
    """After a run all periods are counted, months included; its progress is an artifact, and no result is stored."""
    stored_before = stored_results()
    old = datetime(2023, 5, 17, tzinfo=UTC)
    async with db.pool() as pool:
        async with pool.connection() as conn:
            sold = await histories.publish(conn)
            for at in (old, old + timedelta(days=800), datetime.now(UTC) - timedelta(hours=1)):
                await histories.sell(conn, sold, at, histories.Ending())
        rows = await shops.rows(pool, "SELECT * FROM usage_log WHERE created_at = %(old)s", old=old)

        states = [await usage_rollup(return_state=True), await usage_rollup(old.date(), return_state=True)]

        async with db.snapshot(pool) as conn:
            assert await is_exact(conn, dropped=rows) == set()
        assert await calls(pool) == 3
    assert [state.is_completed() for state in states] == [True, True]
    counted = "counted 3 hours, made 2 months, dropped 1, kept 0 that are over"
    # The history's calls have usage, but no reservation and no payment's past.
    differ = "books differ: 3 history_differs, 3 spend_differs; look at `instant money check`"
    assert (states[0].name, states[0].message) == ("BooksDiffer", f"{counted}; {differ}")
    async with get_client() as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["usage-rollup"]))
        left = {one.flow_run_id: one.data for one in await client.read_artifacts(artifact_filter=wanted)}
    assert [left[state.state_details.flow_run_id] for state in states] == [100.0, 100.0]
    assert stored_results() == stored_before
