"""Executors: any number share the work, and killing one loses nothing."""

import asyncio
import signal
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.states import AwaitingRetry, Cancelling, Running

from core import db
from flows.instant_execution import instant_execution
from flows.recovery import recovery
from tests import doors, executors, orders, servers, shops
from tests.shops import Shop

pytestmark = pytest.mark.usefixtures("own_database")


async def queue(pool: db.Pool, shop: Shop, count: int) -> list[UUID]:
    """Queue executions of a shop with enough slots, one by one."""
    async with pool.connection() as conn:
        await conn.execute("UPDATE accounts SET slots = 100 WHERE id = %s", [shop.account.id])
    sold = await shop.version(pool)
    return [one for _ in range(count) for one in await orders.queue(pool, sold)]


async def test_three_executors_and_one_is_killed(surroundings: Path, pool: db.Pool, shop: Shop) -> None:
    """The door launches nothing; the killed executor's calls are taken over, and each is answered once."""
    count = 30
    await shop.openrouter(latency_seconds=1)
    with ExitStack() as stack:
        stack.enter_context(doors.door(surroundings, servers.free_port(), INSTANT_LAUNCH="executor"))
        # Few at a time, so that all executors have work.
        first, *others = [stack.enter_context(executors.executor(surroundings, INSTANT_BATCH_LIMIT="4")) for _ in "123"]
        for one in (first, *others):
            await executors.at_work(pool, one)
        await queue(pool, shop, count)
        await shops.until(
            pool,
            "SELECT count(*) > 0 AS done FROM attempts JOIN workers ON workers.id = worker_id"
            " WHERE pid = %(pid)s AND call_started_at IS NOT NULL",
            pid=first.pid,
        )
        first.kill()
        rested = await shops.at_rest(pool, shop, seconds=60)
        attempts = await shops.rows(
            pool, "SELECT reason, outcome, kind, pid FROM attempts JOIN workers ON workers.id = attempts.worker_id"
        )

    lost = [attempt for attempt in attempts if attempt.outcome == "abandoned"]
    assert [one.state for one in rested] == ["succeeded"] * count
    assert [one.usage_rows for one in rested] == [1] * count
    assert {attempt.kind for attempt in attempts} == {"executor"}
    assert {attempt.pid for attempt in lost} == {first.pid}
    assert len([attempt for attempt in attempts if attempt.reason == "takeover"]) == len(lost)
    assert {other.pid for other in others} <= {attempt.pid for attempt in attempts}
    # A mark may exist for a send that the kill prevented, but no send exists without a mark.
    assert len(await shop.sends()) <= sum(one.sends for one in rested) <= count + len(lost)


async def test_prefect_hears_of_a_killed_run(surroundings: Path, pool: db.Pool, shop: Shop) -> None:
    """A run that a kill left RUNNING becomes Crashed, with its call, at the next recovery; a later one is Completed."""
    await shop.openrouter(latency_seconds=10)
    async with get_client() as prefect:
        with executors.executor(surroundings) as killed:
            await executors.at_work(pool, killed)
            (one,) = await queue(pool, shop, 1)
            await shop.sends(arrived=1)
            (left,) = await shops.rows(pool, "SELECT flow_run_id FROM attempts")

            async def calls(state: str) -> bool:
                of_it = FlowRunFilter(id=FlowRunFilterId(any_=[left.flow_run_id]))
                tasks = await prefect.read_task_runs(flow_run_filter=of_it)
                return [task.state_name for task in tasks if task.name == f"call {one}"] == [state]

            await shops.eventually(lambda: calls("Running"))
            killed.kill()
        await shop.openrouter(latency_seconds=0.1)
        with executors.executor(surroundings):
            (rested,) = await shops.at_rest(pool, shop)

            async def crashed() -> bool:
                run = await prefect.read_flow_run(left.flow_run_id)
                return run.state is not None and run.state.is_crashed()

            await shops.eventually(crashed)
            await shops.eventually(lambda: calls("Crashed"))
            (other,) = await shops.rows(pool, "SELECT flow_run_id FROM attempts WHERE outcome = 'succeeded'")
            after = await prefect.read_flow_run(other.flow_run_id)

    assert (rested.id, rested.state, rested.takeovers) == (one, "succeeded", 1)
    assert after.state
    assert not after.state.is_crashed()


async def test_taking_over_does_not_need_prefect(surroundings: Path, pool: db.Pool, shop: Shop) -> None:
    """A takeover while Prefect is down cannot report the killed run there, and goes on without that."""
    nobody = f"http://127.0.0.1:{servers.free_port()}/api"
    await shop.openrouter(latency_seconds=10)
    with executors.executor(surroundings) as killed:
        await executors.at_work(pool, killed)
        await queue(pool, shop, 1)
        await shop.sends(arrived=1)
        killed.kill()
    await shop.openrouter(latency_seconds=0.1)
    changes = {"INSTANT_PREFECT_API_URL": nobody, "INSTANT_PREFECT_PATIENCE_SECONDS": "1"}
    with executors.executor(surroundings, **changes) as alone:
        await shops.at_rest(pool, shop)
        await queue(pool, shop, 1)
        rested = await shops.at_rest(pool, shop)
        assert alone.poll() is None

    assert [(one.state, one.takeovers, one.usage_rows) for one in rested] == [("succeeded", 1, 1), ("succeeded", 0, 1)]
    assert "Prefect was not told" in (surroundings / "executor.log").read_text()


async def test_the_scheduled_recovery_closes_runs_that_held_nothing(
    surroundings: Path, pool: db.Pool, shop: Shop
) -> None:
    """A run that was killed after its calls had ended frees nothing; the flow `recovery` still finds it.

    Runs of another installation on the same Prefect server, and runs that were started by hand, are not touched.
    """
    await recovery(return_state=True)  # what other tests have left
    (one,) = await queue(pool, shop, 1)

    async def begin(**parameters: object) -> FlowRun:
        return await prefect.create_flow_run(instant_execution, parameters=parameters, state=Running())

    async with get_client() as prefect:
        run = await begin(execution_ids=[str(one)], batch_id=str(uuid4()))
        others = [await begin(execution_ids=[str(uuid4())], batch_id=str(uuid4())), await begin(execution_ids=[])]
        state = await recovery(return_state=True)
        closed = await prefect.read_flow_run(run.id)
        untouched = [await prefect.read_flow_run(other.id) for other in others]
        for other in others:
            await prefect.delete_flow_run(other.id)

    assert state.message
    assert "closed 1" in state.message
    assert closed.state
    assert closed.state.is_crashed()
    assert [one.state_name for one in untouched] == ["Running", "Running"]


async def test_what_an_operator_does_to_a_run_here_stops_no_call(surroundings: Path, pool: db.Pool, shop: Shop) -> None:
    """A paid call that is cancelled in Prefect's UI is still answered; a retry that no process will run is closed."""
    await shop.openrouter(latency_seconds=1)
    with executors.executor(surroundings) as process:
        await executors.at_work(pool, process)
        await queue(pool, shop, 1)
        await shop.sends(arrived=1)
        (attempt,) = await shops.rows(pool, "SELECT flow_run_id FROM attempts")
        async with get_client() as prefect:
            await prefect.set_flow_run_state(attempt.flow_run_id, Cancelling())
            (rested,) = await shops.at_rest(pool, shop)
            await shops.until(pool, "SELECT NOT EXISTS (SELECT 1 FROM batches) AS done")
            after = await prefect.read_flow_run(attempt.flow_run_id)
            await recovery(return_state=True)
            cancelled = await prefect.read_flow_run(attempt.flow_run_id)
            await prefect.set_flow_run_state(attempt.flow_run_id, AwaitingRetry(), force=True)
            await recovery(return_state=True)
            closed = await prefect.read_flow_run(attempt.flow_run_id)

    assert (rested.state, rested.sends, rested.takeovers) == ("succeeded", 1, 0)
    assert after.state
    assert after.state.is_cancelling()
    assert cancelled.state
    assert cancelled.state.is_cancelled()
    assert closed.state
    assert closed.state.is_crashed()
    assert await shops.executions(pool, shop) == [rested]


@pytest.mark.parametrize("kind", ["door", "executor"])
async def test_a_second_signal_ends_it_at_once(surroundings: Path, pool: db.Pool, shop: Shop, kind: str) -> None:
    """The first SIGTERM waits for the call; the second does not, and the unfinished call is taken over."""
    await shop.openrouter(latency_seconds=20)
    with ExitStack() as stack:
        if kind == "door":
            door = stack.enter_context(doors.door(surroundings, servers.free_port()))
            process, output = door.process, door.output
        else:
            process = stack.enter_context(executors.executor(surroundings))
            output = surroundings / "executor.log"
            await executors.at_work(pool, process)
        (one,) = await queue(pool, shop, 1)
        await shop.sends(arrived=1)
        told = output.read_text().count("stopping")
        process.send_signal(signal.SIGTERM)

        async def heard() -> bool:
            return output.read_text().count("stopping") > told

        await shops.eventually(heard)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(process.wait, 5)

    row = await shops.execution(pool, one)
    assert code == 128 + signal.SIGTERM
    assert (row.state, row.sends) == ("running", 1)


async def test_what_takes_too_long_is_handed_over(surroundings: Path, pool: db.Pool, shop: Shop) -> None:
    """An executor at the end of its drain time cancels its call, and another executor answers it."""
    await shop.openrouter(latency_seconds=3)
    with executors.executor(surroundings, INSTANT_DRAIN_SECONDS="0.1") as leaving:
        await executors.at_work(pool, leaving)
        (one,) = await queue(pool, shop, 1)
        await shop.sends(arrived=1)
        leaving.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(leaving.wait, 10)
    left = await shops.execution(pool, one)
    await shop.openrouter(latency_seconds=0.1)
    with executors.executor(surroundings):
        (rested,) = await shops.at_rest(pool, shop)

    assert code == 0
    assert (left.state, left.claimed_by, left.takeovers) == ("queued", None, 1)
    assert (rested.state, rested.sends, rested.usage_rows) == ("succeeded", 2, 1)
