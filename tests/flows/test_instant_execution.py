"""The flow `instant_execution` in a running door: failures are isolated, and no call is sent too often."""

from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.client.schemas.sorting import LogSort

from core import db
from core.resources import readiness, versions
from flows.instant_execution import instant_execution, name_of
from tests import orders, shops
from tests.shops import Shop

pytestmark = pytest.mark.usefixtures("door")

BATCH = 20
FEW = 6

# Queues one execution that will fail, in the caller's transaction, and returns its id.
Poison = Callable[[db.Connection, db.Pool, Shop], Coroutine[Any, Any, UUID]]


@pytest.fixture
async def pool(surroundings: Path) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


async def altered_inputs(conn: db.Connection, pool: db.Pool, shop: Shop) -> UUID:
    """Its sealed inputs were altered in the database."""
    (poisoned,) = await orders.create(conn, await shop.version(pool))
    await conn.execute("UPDATE executions SET sealed_inputs = sealed_inputs || '\\x00' WHERE id = %s", [poisoned])
    return poisoned


async def altered_template(conn: db.Connection, pool: db.Pool, shop: Shop) -> UUID:
    """The template of its version was altered in the database."""
    version = await another(conn, shop)
    (poisoned,) = await orders.create(conn, version)
    await conn.execute(
        "UPDATE resource_versions SET sealed_template = sealed_template || '\\x00' WHERE id = %s", [version.version_id]
    )
    return poisoned


async def unreadable_version(conn: db.Connection, pool: db.Pool, shop: Shop) -> UUID:
    """Reading its version raises an unforeseen exception."""
    version = await another(conn, shop)
    (poisoned,) = await orders.create(conn, version)
    await conn.execute(
        """UPDATE resource_versions SET parameters = '[{"nonsense": 1}]' WHERE id = %s""", [version.version_id]
    )
    return poisoned


async def another(conn: db.Connection, shop: Shop) -> versions.Version:
    """Another resource of the same shop, so that the resource of the other executions stays valid."""
    await shops.selling.publish(conn, shop.account, slug="another", model=shops.MODEL)
    return await readiness.resolve(conn, shop.account.handle, "another")


@pytest.mark.parametrize(
    ("poison", "detail"),
    [
        (altered_inputs, "sealed_value_unreadable"),
        (altered_template, "template_unreadable"),
        (unreadable_version, "takeover_limit"),
    ],
)
async def test_one_poisoned_execution_leaves_the_others_their_answers(
    pool: db.Pool, shop: Shop, poison: Poison, detail: str
) -> None:
    """Nineteen answers, and one failure that is our fault; each sent at most once, each logged once."""
    await shop.openrouter(latency_seconds=0.1)
    async with pool.connection() as conn:
        await slots(conn, shop)
        await orders.create(conn, await shop.version(pool), 9)
        poisoned = await poison(conn, pool, shop)
        await orders.create(conn, await shop.version(pool), 10)
    executions = await shops.at_rest(pool, shop, seconds=60)

    failed = [execution for execution in executions if execution.state != "succeeded"]
    assert [(one.id, one.state, one.fault, one.detail) for one in failed] == [(poisoned, "failed", "ours", detail)]
    assert len(executions) == BATCH
    assert [execution.usage_rows for execution in executions] == [1] * BATCH
    assert [execution.sends for execution in executions if execution.id != poisoned] == [1] * (BATCH - 1)
    assert len(await shop.sends()) == BATCH - 1
    assert {execution.takeovers for execution in executions if execution.id != poisoned} <= {0, 2}


async def test_a_failed_call_is_red_and_the_others_are_not(pool: db.Pool, shop: Shop) -> None:
    """The provider refuses one call: its task run is Failed, with its name; the run is CompletedWithFailures.

    The run is named after its product and tagged; its log has two lines, and its graph leads from all calls to `log`.
    """
    await shop.openrouter(latency_seconds=0.1, faults=["status:400"])
    ids = await burst(pool, shop, FEW)
    executions = await shops.at_rest(pool, shop)
    ((flow_run_id,),) = {tuple(row) for row in await shops.rows(pool, *mine("flow_run_id", ids))}
    run, tasks = await at_prefect(flow_run_id)

    (failed,) = [execution for execution in executions if execution.state != "succeeded"]
    assert (failed.state, failed.fault, failed.detail, failed.sends) == ("failed", "creator", "provider_400", 1)
    assert (run.state and run.state.name, run.state and run.state.message) == (
        "CompletedWithFailures",
        f"1 of {FEW} failed: 1 provider_400 (creator)",
    )
    assert run.name == f"{FEW} calls: {shop.path[1:]}"
    assert set(run.tags) == {"test", f"@{shop.account.handle}"}
    assert {str(one) for one in ids} == set(run.parameters["execution_ids"])
    assert run.parameters.keys() == {"execution_ids", "batch_id"}
    calls = {task.name: task for task in tasks if task.name.startswith("call ")}
    assert calls.keys() == {f"call {one}" for one in ids}
    assert [name for name, call in calls.items() if call.state_name == "Failed"] == [f"call {failed.id}"]
    assert {task.name for task in tasks} - calls.keys() == {"validate", "decrypt", "substitute", "log"}
    async with get_client() as prefect:
        told = [[state.name for state in await prefect.read_task_run_states(call.id)] for call in calls.values()]
        only = LogFilterFlowRunId(any_=[flow_run_id])

        async def logged() -> list[str]:
            lines = await prefect.read_logs(LogFilter(flow_run_id=only), sort=LogSort.TIMESTAMP_ASC)
            return [line.message for line in lines if line.name == "instant.run"]

        async def has_two() -> bool:
            return len(await logged()) == 2

        await shops.eventually(has_two)  # Prefect's client sends lines every other second
        assert await logged() == [f"begins: {run.name}", f"ends: {run.state.message}"]
    (log,) = [task for task in tasks if task.name == "log"]
    assert {str(one.id) for one in calls.values()} == {str(each.id) for each in log.task_inputs["wait_for"]}
    assert sorted(told) == [["Running", "Completed"]] * (FEW - 1) + [["Running", "Failed"]]


async def test_many_calls_share_one_task_run(pool: db.Pool, shop: Shop) -> None:
    """More than INSTANT_CALL_TASKS calls are one task run, and each is sent and counted as in one of its own."""
    await shop.openrouter(latency_seconds=0.1, faults=["status:400", "status:403", "status:503"])
    ids = await burst(pool, shop)
    executions = await shops.at_rest(pool, shop)
    ((flow_run_id,),) = {tuple(row) for row in await shops.rows(pool, *mine("flow_run_id", ids))}
    run, tasks = await at_prefect(flow_run_id)

    assert sorted(one.detail for one in executions if one.state != "succeeded") == ["provider_400", "provider_403"]
    assert sorted(one.sends for one in executions) == [1] * (BATCH - 1) + [2]
    assert [one.usage_rows for one in executions] == [1] * BATCH
    assert run.state
    assert run.state.name == "CompletedWithFailures"
    assert run.state.message == f"1 of {BATCH} failed: 1 provider_400 (creator); 1 declined"
    assert {task.name for task in tasks} == {"validate", "decrypt", "substitute", f"call {BATCH} executions", "log"}


@pytest.mark.parametrize(
    ("faults", "count", "end"),
    [
        (["status:500*always"], 2, ("Failed", "2 of 2 failed: 2 provider_500 (provider)")),
        (["status:403*always"], 2, ("Completed", "0 answered, 2 declined")),
        (
            ["status:400", "status:403"],
            2,
            ("CompletedWithFailures", "1 of 2 failed: 1 provider_400 (creator); 1 declined"),
        ),
        (["status:500*always"], BATCH, ("Failed", f"{BATCH} of {BATCH} failed: {BATCH} provider_500 (provider)")),
    ],
    ids=["failed", "declined", "mixed", "all of many"],
)
async def test_a_run_is_red_when_nobody_was_answered(
    pool: db.Pool, shop: Shop, faults: list[str], count: int, end: tuple[str, str]
) -> None:
    """A run whose calls all failed is Failed, unless a buyer was at fault: declined input is answered."""
    await shop.openrouter(latency_seconds=0.05, faults=faults)
    ids = await burst(pool, shop, count)
    await shops.at_rest(pool, shop)
    ((flow_run_id,),) = {tuple(row) for row in await shops.rows(pool, *mine("flow_run_id", ids))}
    run, _ = await at_prefect(flow_run_id)

    assert (run.state and run.state.name, run.state and run.state.message) == end


async def test_what_could_not_be_sent_is_counted_with_its_code(pool: db.Pool, shop: Shop) -> None:
    """An execution without a call appears in the run's state under the code of its row."""
    async with pool.connection() as conn:
        poisoned = await altered_inputs(conn, pool, shop)
    await shops.at_rest(pool, shop)
    ((flow_run_id,),) = {tuple(row) for row in await shops.rows(pool, *mine("flow_run_id", [poisoned]))}
    run, _ = await at_prefect(flow_run_id)

    assert (run.state and run.state.name, run.state and run.state.message) == (
        "Failed",
        "1 of 1 failed: 1 sealed_value_unreadable (ours)",
    )
    assert run.name == shop.path[1:]


@pytest.mark.parametrize(
    ("products", "name"),
    [
        ([], "0 calls"),
        (["@a/x"], "@a/x"),
        (["@a/x"] * 3, "3 calls: @a/x"),
        (["@a/y", "@a/x", "@a/x"], "3 calls: @a/x ×2, @a/y"),
        (["@a/y", "@a/x", "@a/x", "@b/z", "@b/w"], "5 calls: @a/x ×2, @a/y, @b/z, …"),
    ],
)
def test_a_run_is_named_after_what_it_carries(products: list[str], name: str) -> None:
    """One product by its name, a burst by its size and commonest products."""
    assert name_of(products) == name


async def test_a_slow_call_delays_nobody(pool: db.Pool, shop: Shop) -> None:
    """A call that takes three seconds ends last; the others in its batch have had their answers long before."""
    await shop.openrouter(latency_seconds=0.1, faults=["slow:3"])
    await burst(pool, shop)
    executions = await shops.at_rest(pool, shop)

    *others, slow = sorted(execution.finished_at for execution in executions)
    assert {execution.state for execution in executions} == {"succeeded"}
    assert len({execution.batch_id for execution in executions}) == 1
    assert (slow - others[-1]).total_seconds() > 1.5


async def test_a_repeated_run_changes_nothing(pool: db.Pool, shop: Shop) -> None:
    """An operator's retry of a run whose executions have ended does nothing, sends nothing, writes nothing."""
    await shop.openrouter(latency_seconds=0.1, faults=["status:400"])
    ids = await burst(pool, shop, 3)
    before = await shops.at_rest(pool, shop)
    attempts = await shops.rows(pool, *mine("*", ids))

    state = await instant_execution(ids, before[0].batch_id, return_state=True)

    assert (state.name, state.message) == ("Completed", "0 answered")
    assert await shops.executions(pool, shop) == before
    assert await shops.rows(pool, *mine("*", ids)) == attempts
    assert len(await shop.sends()) == 3


@pytest.mark.parametrize(
    ("faults", "rest", "sends"),
    [
        (["status:503"], ("succeeded", None, None), 2),
        (["status:503*always"], ("failed", "provider", "provider_503"), 2),
        (["status:429;retry_after=1"], ("succeeded", None, None), 2),
        (["status:503;retry_after=1000"], ("failed", "provider", "provider_503"), 1),
        (["status:504;done=1"], ("succeeded", None, None), 2),
        (["status:504*always"], ("failed", "provider", "provider_504"), 2),
        (["html"], ("succeeded", None, None), 2),
        (["empty"], ("failed", "provider", "provider_empty"), 1),
        (["status:403"], ("declined", "buyer", "provider_403"), 1),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
async def test_at_most_one_resend(
    pool: db.Pool, shop: Shop, faults: list[str], rest: tuple[str, str | None, str | None], sends: int
) -> None:
    """Only a send that cannot be charged twice is repeated, once, after the pause that the provider requires."""
    await shop.openrouter(latency_seconds=0.05, faults=faults)
    await burst(pool, shop, 1)
    (execution,) = await shops.at_rest(pool, shop)
    sent = [datetime.fromisoformat(request["at"]) for request in await shop.sends()]

    assert (execution.state, execution.fault, execution.detail) == rest
    assert len(sent) == execution.sends == sends
    assert execution.usage_rows == 1
    if "retry_after=1" in faults[0].split(";")[1:]:
        assert (sent[1] - sent[0]).total_seconds() >= 1


async def test_a_rejected_key_sells_nothing_more(door: str, pool: db.Pool, shop: Shop) -> None:
    """401: one send, the creator's fault, the key is rejected; the next buyer is refused before any payment."""
    await shop.openrouter(revoked=True)
    await burst(pool, shop, 1)
    (execution,) = await shops.at_rest(pool, shop)
    async with httpx.AsyncClient() as client:
        offer = await client.post(door + shop.path, json=orders.INPUTS)

    assert (execution.state, execution.fault, execution.detail, execution.sends) == (
        "failed",
        "creator",
        "provider_401",
        1,
    )
    assert offer.status_code == 503
    assert offer.json()["error"] == "Resource unavailable"
    assert "PAYMENT-REQUIRED" not in offer.headers


async def slots(conn: db.Connection, shop: Shop) -> None:
    """Allow a whole batch to run at once."""
    await conn.execute("UPDATE accounts SET slots = %s WHERE id = %s", [BATCH, shop.account.id])


async def burst(pool: db.Pool, shop: Shop, count: int = BATCH) -> list[UUID]:
    """Queue executions in one transaction, so that one run has them."""
    sold = await shop.version(pool)
    async with pool.connection() as conn:
        await slots(conn, shop)
        return await orders.create(conn, sold, count)


def mine(columns: str, ids: list[UUID]) -> tuple[str]:
    """The attempts of these executions, as a query."""
    wanted = ", ".join(f"'{one}'" for one in ids)
    return (f"SELECT {columns} FROM attempts WHERE execution_id IN ({wanted}) ORDER BY id",)  # noqa: S608 - ids of ours


async def at_prefect(flow_run_id: UUID) -> tuple[FlowRun, list[TaskRun]]:
    """A flow run with its task runs, once Prefect has recorded the end of all of them."""
    only = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    async with get_client() as prefect:

        async def over() -> bool:
            run = await prefect.read_flow_run(flow_run_id)
            tasks = await prefect.read_task_runs(flow_run_filter=only)
            # Prefect records task runs asynchronously, the last after the end of the flow.
            return any(task.name == "log" for task in tasks) and all(
                one.state is not None and one.state.is_final() for one in [run, *tasks]
            )

        await shops.eventually(over)
        return await prefect.read_flow_run(flow_run_id), await prefect.read_task_runs(flow_run_filter=only)
