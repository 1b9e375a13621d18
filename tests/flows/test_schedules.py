"""All scheduled flows: one run at a time, and one run in place of all missed ones."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import LogSort
from prefect.flow_engine import run_flow_async
from prefect.schedules import Cron
from prefect.states import Pending

from core import db
from core.process import scheduled_runs
from core.settings import settings
from flows.cost_backfill import cost_backfill
from flows.recovery import recovery
from flows.retention import retention
from flows.usage_rollup import usage_rollup
from tests import shops
from tests.backlogs import backlog

pytestmark = pytest.mark.usefixtures("own_database", "prefect_server")

_RETENTION = "import asyncio; from flows.retention import retention; asyncio.run(retention())"


@pytest.fixture
async def pool() -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@asynccontextmanager
async def nothing_deleted(pool: db.Pool) -> AsyncIterator[None]:
    """A run of `retention` that begins in the block does not end before the block does."""
    async with asyncio.timeout(30), pool.connection() as conn, conn.transaction():
        await conn.execute("LOCK TABLE refunds IN ACCESS EXCLUSIVE MODE")
        yield


def elsewhere() -> "subprocess.Popen[bytes]":
    """Start a run of `retention` in a separate process, as for every schedule."""
    return subprocess.Popen([sys.executable, "-c", _RETENTION], env=os.environ)


async def begun(pool: db.Pool) -> None:
    """Wait until a run of `retention` has begun."""
    await shops.until(pool, "SELECT count(began_at) = 1 AS done FROM schedules WHERE name = 'retention'")


async def test_two_runs_at_once(pool: db.Pool) -> None:
    """The second reports that it was skipped, and does nothing; other flows run, and so does the next run."""
    async with nothing_deleted(pool):
        first = asyncio.create_task(retention(return_state=True))
        await begun(pool)
        second = await retention(return_state=True)
        other = await cost_backfill(return_state=True)
        unfinished = (await known(pool))["retention"].succeeded_at
    states = [second, other, await first, await retention(return_state=True)]

    assert [state.name for state in states] == ["Skipped", "Completed", "Completed", "Completed"]
    assert [state.is_completed() for state in states] == [True] * 4
    assert second.message == "another run of retention is going on"
    assert unfinished is None
    assert (await known(pool))["retention"].succeeded_at


async def test_a_run_has_a_name_and_a_log() -> None:
    """The runs of a schedule are told apart by when they were due; a first and a last line tell what came of it."""
    state = await cost_backfill(return_state=True)
    flow_run_id = state.state_details.flow_run_id
    assert flow_run_id
    only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
    async with get_client() as prefect:
        run = await prefect.read_flow_run(flow_run_id)

        async def is_logged() -> bool:
            lines = await prefect.read_logs(only, sort=LogSort.TIMESTAMP_ASC)
            return [line.message for line in lines] == ["begins", f"ends: {state.message}"]

        await shops.eventually(is_logged)

    assert run.expected_start_time is not None
    assert run.name == f"cost-backfill {run.expected_start_time:%Y-%m-%d %H:%M}"


async def known(pool: db.Pool) -> dict[str, scheduled_runs.ScheduleRecord]:
    async with pool.connection() as conn:
        return await scheduled_runs.records(conn)


async def test_a_killed_run_leaves_nothing_locked(pool: db.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL frees the schedule at once; after the lease recovery ends the run in Prefect."""
    async with nothing_deleted(pool):
        killed = elsewhere()
        await begun(pool)
        (worker,) = await shops.rows(pool, "SELECT flow_run_id FROM workers WHERE pid = %(pid)s", pid=killed.pid)
        assert (await retention(return_state=True)).name == "Skipped"
        killed.kill()
        killed.wait()
    await shops.until(pool, "SELECT count(*) = 0 AS done FROM pg_locks WHERE locktype = 'advisory'")
    after = await retention(return_state=True)
    monkeypatch.setenv("INSTANT_RUN_SILENCE_SECONDS", "0")
    settings.cache_clear()

    async def over() -> bool:
        await recovery(return_state=True)
        async with get_client() as prefect:
            run = await prefect.read_flow_run(worker.flow_run_id)
        return run.state is not None and run.state.is_crashed()

    await shops.eventually(over)
    monkeypatch.undo()
    settings.cache_clear()

    assert after.name == "Completed"


@pytest.mark.parametrize("kind", ["retention that fails", "usage that cannot be counted"])
async def test_what_failed_did_not_succeed(pool: db.Pool, kind: str) -> None:
    """A run that fails is no success, whatever it raises; the next one is not skipped because of it."""
    broken, flow = {
        "retention that fails": ("refunds", retention),
        "usage that cannot be counted": ("usage_rollup", usage_rollup),
    }[kind]
    async with pool.connection() as conn:
        await conn.execute("SET LOCAL ROLE instant_owner")
        await conn.execute(f"ALTER TABLE {broken} RENAME TO gone")
    failed = await flow(return_state=True)
    async with pool.connection() as conn:
        await conn.execute("SET LOCAL ROLE instant_owner")
        await conn.execute(f"ALTER TABLE gone RENAME TO {broken}")
    between = (await known(pool))[flow.name].succeeded_at
    after = await flow(return_state=True)

    assert failed.is_failed()
    assert "UndefinedTable" in str(failed.message)
    assert between is None
    assert after.name == "Completed"


async def test_what_was_missed_is_made_up_for_once(pool: db.Pool) -> None:
    """One of the runs that were due during a downtime does the work; a run that is due later works again.

    A run that is started by hand always works, whatever ran since.
    """
    made = await retention.ato_deployment("hours", schedule=Cron("0 * * * *"))
    deployment_id = await made.aapply()
    async with get_client() as prefect:
        by_hand = await prefect.create_flow_run(retention, state=Pending())
        runs = await backlog(prefect, deployment_id, 4)
        late = [await take(prefect, run) for run in runs[:3]]
        await shops.rows(pool, "UPDATE schedules SET began_at = began_at - interval '2 hours' RETURNING name")
        due = await take(prefect, runs[3])
        meant = await take(prefect, by_hand)
        await prefect.delete_deployment(deployment_id)

    assert [state.name for state in late] == ["Completed", "Skipped", "Skipped"]
    assert late[1].message == "a run that began after this one was due has succeeded"
    assert (due.name, meant.name) == ("Completed", "Completed")


async def take(prefect: PrefectClient, run: FlowRun) -> State[None]:
    """Execute the run in this process, like the process that a deployment starts for it."""
    await prefect.set_flow_run_state(run.id, Pending())
    taken = await prefect.read_flow_run(run.id)
    state = await run_flow_async(retention, flow_run=taken, return_type="state")
    assert isinstance(state, State)
    return state
