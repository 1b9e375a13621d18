"""The launcher: few runs for many executions, no loss at shutdown, and no call sent twice."""

import asyncio
import signal
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun

from core import db
from core.catalog import price_sync
from core.resources.repricing import reprice
from tests import doors, orders, practice_catalog, servers, shops, wire
from tests.shops import Shop

pytestmark = pytest.mark.usefixtures("own_database")


async def queue(pool: db.Pool, shop: Shop, count: int) -> list[UUID]:
    """Queue executions of a shop with enough slots, in one transaction."""
    async with pool.connection() as conn:
        await conn.execute("UPDATE accounts SET slots = 100 WHERE id = %s", [shop.account.id])
    return await orders.queue(pool, await shop.version(pool), count)


async def test_a_burst_comes_in_few_runs(surroundings: Path, pool: db.Pool, shop: Shop) -> None:
    """Executions that are queued while a run starts share the next run, and every call is sent once."""
    count = 24
    await shop.openrouter(latency_seconds=0.1)
    with doors.door(surroundings, servers.free_port()):
        for _ in range(count):
            await queue(pool, shop, 1)
        executions = await shops.at_rest(pool, shop)
        attempts = await shops.rows(pool, "SELECT execution_id, flow_run_id FROM attempts")

    assert [execution.state for execution in executions] == ["succeeded"] * count
    assert len(attempts) == len(await shop.sends()) == count
    assert 1 <= len({attempt.flow_run_id for attempt in attempts}) <= count // 2


async def test_sigterm_in_the_middle_of_calls(surroundings: Path, pool: db.Pool, shop: Shop) -> None:
    """A door that gets SIGTERM finishes its calls, sends nothing twice, and exits by itself."""
    count = 5
    await shop.openrouter(latency_seconds=2)
    with doors.door(surroundings, servers.free_port()) as door:
        await queue(pool, shop, count)
        await shop.sends(arrived=count)
        door.process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(door.process.wait, 20)

    executions = await shops.executions(pool, shop)
    tasks = await at_prefect(pool)
    assert code == 0, door.output.read_text()[-2000:]
    assert [execution.state for execution in executions] == ["succeeded"] * count
    assert [execution.usage_rows for execution in executions] == [1] * count
    assert [execution.takeovers for execution in executions] == [0] * count
    assert len([task for task in tasks if task.name.startswith("call ")]) == count
    assert {task.state_name for task in tasks} == {"Completed"}
    assert len(await shop.sends()) == count


async def at_prefect(pool: db.Pool) -> list[TaskRun]:
    """The task runs that carried all executions, once Prefect has recorded the last of each run, `log`."""
    runs = {row.flow_run_id for row in await shops.rows(pool, "SELECT flow_run_id FROM attempts")}
    mine = FlowRunFilter(id=FlowRunFilterId(any_=list(runs)))
    async with get_client() as prefect:

        async def over() -> bool:
            tasks = await prefect.read_task_runs(flow_run_filter=mine)
            return [(task.name, task.state_name) for task in tasks].count(("log", "Completed")) == len(runs)

        await shops.eventually(over)
        return await prefect.read_task_runs(flow_run_filter=mine)


async def test_two_doors_share_the_work(surroundings: Path, pool: db.Pool, shop: Shop) -> None:
    """Two doors on one database: both launch, and no execution is run or sent twice."""
    count = 30
    await shop.openrouter(latency_seconds=0.1)
    port, other = servers.free_port(), servers.free_port()
    with doors.door(surroundings, port), doors.door(surroundings, other):
        for _ in range(count):
            await queue(pool, shop, 1)
        executions = await shops.at_rest(pool, shop)
        attempts = await shops.rows(pool, "SELECT execution_id, worker_id FROM attempts")

    assert [execution.state for execution in executions] == ["succeeded"] * count
    assert [execution.usage_rows for execution in executions] == [1] * count
    assert len(attempts) == len(await shop.sends()) == count
    assert len({attempt.worker_id for attempt in attempts}) == 2


async def test_prefect_hangs_and_comes_back(surroundings: Path, prefect_server: str, pool: db.Pool, shop: Shop) -> None:
    """After the patience executions run without Prefect, and their attempts say so; once it answers, runs return."""
    await shop.openrouter(latency_seconds=0.1, faults=["status:503"])
    async with wire.to(prefect_server) as prefect:
        changes = {"INSTANT_PREFECT_API_URL": prefect.url, "INSTANT_PREFECT_PATIENCE_SECONDS": "2"}
        with doors.door(surroundings, servers.free_port(), **changes) as door:
            rested = []
            for hangs in (False, True, False):
                prefect.hang(hangs)
                if rested and not hangs:
                    await shops.eventually(lambda: told(door, "Prefect is back"))
                await queue(pool, shop, 3)
                rested = await shops.at_rest(pool, shop)
        attempts = await shops.rows(pool, "SELECT flow_run_id FROM attempts ORDER BY started_at")

    assert [one.state for one in rested] == ["succeeded"] * 9
    assert [attempt.flow_run_id is None for attempt in attempts] == [False] * 3 + [True] * 3 + [False] * 3
    assert len(await shop.sends()) == sum(one.sends for one in rested) == 10


async def told(door: doors.Door, what: str) -> bool:
    """Whether a door has printed this text."""
    return what in door.output.read_text()


async def test_as_many_sends_as_the_limit_allows(surroundings: Path, pool: db.Pool, shop: Shop) -> None:
    """Three sends come in one attempt, and the outcome of each is recorded, whether the last one succeeds or not."""
    outcomes = []
    with doors.door(surroundings, servers.free_port(), INSTANT_SEND_LIMIT="3"):
        for faults in (["status:503*2"], ["status:503*always"]):
            await shop.openrouter(latency_seconds=0.05, faults=faults)
            (execution_id,) = await queue(pool, shop, 1)
            await shops.at_rest(pool, shop)
            sent = "SELECT outcome FROM sends WHERE execution_id = %(id)s ORDER BY number"
            outcomes.append([row.outcome for row in await shops.rows(pool, sent, id=execution_id)])
    executions = await shops.executions(pool, shop)
    attempts = await shops.rows(pool, "SELECT sends FROM attempts")

    assert outcomes == [["provider_503", "provider_503", "succeeded"], ["provider_503"] * 3]
    assert [(one.state, one.detail, one.sends, one.takeovers) for one in executions] == [
        ("succeeded", None, 3, 0),
        ("failed", "provider_503", 3, 0),
    ]
    assert [attempt.sends for attempt in attempts] == [3, 3]


async def test_without_prefect_a_call_is_sent_again_as_its_task_would(
    surroundings: Path, pool: db.Pool, shop: Shop
) -> None:
    """It has the same retry, isolation of failures, and limit as the task."""
    nobody = f"http://127.0.0.1:{servers.free_port()}/api"
    await shop.openrouter(latency_seconds=0.1, faults=["status:503", "status:400"])
    changes = {"INSTANT_PREFECT_API_URL": nobody, "INSTANT_PREFECT_PATIENCE_SECONDS": "1"}
    with doors.door(surroundings, servers.free_port(), **changes):
        await queue(pool, shop, 3)
        rested = await shops.at_rest(pool, shop)

    assert sorted(one.state for one in rested) == ["failed", "succeeded", "succeeded"]
    assert [one.usage_rows for one in rested] == [1, 1, 1]
    assert len(await shop.sends()) == 4


async def test_without_prefect_they_wait(surroundings: Path, pool: db.Pool, shop: Shop) -> None:
    """While Prefect is down, executions stay queued without loss; they run when it is back."""
    nobody = f"http://127.0.0.1:{servers.free_port()}/api"
    count = 3
    with doors.door(surroundings, servers.free_port(), INSTANT_PREFECT_API_URL=nobody) as lost:
        await queue(pool, shop, count)

        async def handed_back() -> bool:
            return lost.output.read_text().count("handed back 3 executions") >= 1

        await shops.eventually(handed_back)
    waiting = await shops.executions(pool, shop)
    with doors.door(surroundings, servers.free_port()):
        executions = await shops.at_rest(pool, shop)

    assert {(one.state, one.takeovers, one.sends) for one in waiting} == {("queued", 0, 0)}
    assert [execution.state for execution in executions] == ["succeeded"] * count
    assert len(await shop.sends()) == count


async def test_a_price_that_rose_is_learnt_from_one_failed_call(surroundings: Path, pool: db.Pool, shop: Shop) -> None:
    """The sync runs once, however many calls fail; then the prompt is off sale, and its creator is told why."""
    buyer = await shops.Buyer().fund()
    dearer = await practice_catalog.listed()
    for row in dearer:
        if row["id"] == shop.model:
            row["pricing"] |= {"prompt": "0.001", "completion": "0.001"}
    await shop.openrouter(latency_seconds=0, price_factor="1000")
    async with pool.connection() as conn:
        await conn.execute("UPDATE resource_versions SET allows_loss = false")
        await conn.execute("UPDATE accounts SET daily_spend_cap_usd = 100000")
    async with practice_catalog.listing(dearer):
        with doors.door(surroundings, servers.free_port()) as door:
            async with httpx.AsyncClient(timeout=30) as http:
                header = await buyer.pay(door.url + shop.path, {"topic": "the sea"})
                payment = {"PAYMENT-SIGNATURE": header}
                bought = await http.post(door.url + shop.path, json={"topic": "the sea"}, headers=payment)
                await shops.until(pool, "SELECT count(*) = 1 AS done FROM catalog_syncs")
                offered = await http.get(door.url + shop.path)
                (sold,) = (await http.get(f"{door.url}/me/resources", headers=shop.bearer)).json()
            await queue(pool, shop, 20)
            failed = await shops.at_rest(pool, shop)
            asked = "SELECT asked_at > began_at AS done FROM price_syncs"
            assert (await shops.rows(pool, asked))[0].done
            assert not await price_sync.run_if_asked(pool, reprice)
            (count,) = await shops.rows(pool, "SELECT count(*) FROM catalog_syncs")

    assert (bought.status_code, offered.status_code) == (502, 503)
    assert {execution.detail for execution in failed} == {"provider_404_price"}
    assert len(failed) == 21
    assert count.count == 1
    assert "costs so much that hardly any call earns its cost" in sold["modelNotice"]
