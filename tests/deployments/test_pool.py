"""Paid calls on a stock Prefect work pool, and an operator's actions on a run there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import AwaitingRetry, Cancelling

from core import db
from core.db import notifications
from core.executions import views as execution_views
from core.executions import watching
from tests import doors, orders, servers, shops
from tests.shops import Shop

pytestmark = pytest.mark.usefixtures("own_database")

_POOL = "instant"


@pytest.fixture(scope="module")
def deployed(prefect_server: str) -> None:
    """Run `prefect deploy` on prefect.yaml, with the work pool that it needs."""
    _prefect("work-pool", "create", _POOL, "--type", "process", "--overwrite")
    _prefect("deploy", "--name", "pool")


@pytest.fixture
def worker(deployed: None, surroundings: Path, own_database: str) -> Iterator[None]:
    """Start a stock process worker."""
    with _worker(surroundings):
        yield


@contextmanager
def _worker(folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", _POOL, "--type", "process"]
    # It asks for runs every 10 s, and hears SIGTERM only then.
    environment = os.environ | {"PREFECT_WORKER_QUERY_SECONDS": "1"}
    with (folder / "worker.log").open("ab") as printed:
        process = subprocess.Popen(command, env=environment, stdout=printed, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        servers.stop(process)


def _prefect(*arguments: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        env=os.environ,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr


async def test_calls_run_on_a_work_pool(surroundings: Path, pool: db.Pool, shop: Shop, worker: None) -> None:
    """The door launches, the pool's process owns the run; a cancellation causes a takeover, and a retry does nothing.

    One test, because a run there takes seconds to begin.
    """
    await shop.openrouter(latency_seconds=0.1, faults=["slow:30"])
    with doors.door(surroundings, servers.free_port(), INSTANT_LAUNCH="pool"):
        (one,) = await queue(pool, shop, 1)
        await shop.sends(arrived=1)
        first = await run_of(pool, one)
        async with get_client() as prefect:
            await prefect.set_flow_run_state(first.id, Cancelling())
            (rested,) = await shops.at_rest(pool, shop, seconds=90)
            await finished(first.id)
            second = await run_of(pool, one)
            await finished(second.id)
            attempts = await shops.rows(
                pool,
                "SELECT attempts.flow_run_id, outcome, kind FROM attempts JOIN workers ON workers.id = worker_id"
                " ORDER BY attempts.started_at",
            )
            sends = await shop.sends()
            await prefect.set_flow_run_state(second.id, AwaitingRetry(), force=True)

            async def ran_again() -> bool:
                run = await prefect.read_flow_run(second.id)
                return run.run_count > 1 and run.state is not None and run.state.is_final()

            await shops.eventually(ran_again, 60)
            cancelled, repeated = await prefect.read_flow_run(first.id), await prefect.read_flow_run(second.id)

    assert (rested.state, rested.takeovers, rested.sends, rested.usage_rows) == ("succeeded", 1, 2, 1)
    assert [(attempt.outcome, attempt.kind) for attempt in attempts] == [("abandoned", "run"), ("succeeded", "run")]
    assert {attempt.flow_run_id for attempt in attempts} == {first.id, second.id}
    assert first.deployment_id
    assert cancelled.state_type == StateType.CANCELLED
    assert (repeated.state_type, repeated.state and repeated.state.message) == (StateType.COMPLETED, "0 answered")
    assert await shop.sends() == sends
    assert await shops.executions(pool, shop) == [rested]


async def test_a_paused_pool_waits(surroundings: Path, pool: db.Pool, shop: Shop, worker: None) -> None:
    """While the pool is paused its runs wait, in Prefect and in the queue; after it resumes they run.

    Whoever watches one in another process reads its text while it is made.
    """
    await shop.openrouter(latency_seconds=0, faults=["drip:1*2"])
    async with get_client() as prefect, notifications.listening() as hub:
        await prefect.update_work_pool(_POOL, WorkPoolUpdate(is_paused=True))
        with doors.door(surroundings, servers.free_port(), INSTANT_LAUNCH="pool"):
            ids = await queue(pool, shop, 2)
            await shops.until(pool, "SELECT count(*) = 1 AS done FROM batches")
            waiting = await shops.executions(pool, shop)
            watched = watching.watch(pool, hub, ids[0])
            events = [await anext(watched)]
            await prefect.update_work_pool(_POOL, WorkPoolUpdate(is_paused=False))
            events += [event async for event in watched]
            rested = await shops.at_rest(pool, shop, seconds=90)

    texts = [event.text for event in events if isinstance(event, watching.Delta)]
    last = events[-1]
    assert isinstance(last, watching.Ended)
    assert len(texts) > 5
    assert "".join(texts) == execution_views.open_result(last.row)["response"]
    assert {one.state for one in waiting} == {"queued"}
    assert [(one.id, one.state, one.usage_rows) for one in rested] == [(one, "succeeded", 1) for one in ids]
    assert len(await shop.sends()) == 2


async def queue(pool: db.Pool, shop: Shop, count: int) -> list[UUID]:
    """Queue executions one by one."""
    sold = await shop.version(pool)
    return [one for _ in range(count) for one in await orders.queue(pool, sold)]


async def run_of(pool: db.Pool, execution_id: UUID) -> FlowRun:
    """The newest run that claimed an execution."""
    newest, *_ = await shops.rows(
        pool, "SELECT flow_run_id FROM attempts WHERE execution_id = %(id)s ORDER BY started_at DESC", id=execution_id
    )
    async with get_client() as prefect:
        return await prefect.read_flow_run(newest.flow_run_id)


async def finished(run_id: UUID) -> None:
    """Wait for the final state of a run."""
    async with get_client() as prefect:

        async def over() -> bool:
            run = await prefect.read_flow_run(run_id)
            return run.state is not None and run.state.is_final()

        await shops.eventually(over, 60)
