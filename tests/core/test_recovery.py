"""Recovery, against Postgres without Prefect: it frees executions of dead owners, within limits, and ends them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import pytest

from core import db
from core.executions import lifecycle, steps
from core.executions.steps import Order, PreparedCall
from core.failures import ExecutionFailed
from core.process import worker
from core.settings import settings
from core.spend import usage_log
from tests import orders, shops

OURS = ExecutionFailed("internal_error", "ours", "internal_Practice")


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@pytest.fixture
async def shop(pool: db.Pool, practice_openrouter: str) -> shops.Shop:
    return await shops.open_shop(pool)


async def test_a_dead_owners_work_is_freed(pool: db.Pool) -> None:
    """After a lease without a heartbeat its executions are queued again; only those that had begun count a takeover."""
    dead, alive = await orders.hire(pool), await orders.hire(pool)
    sold = await orders.version(pool)
    begun, claimed = await orders.queue(pool, sold, 2)
    await orders.claim(pool, dead)
    await orders.take(pool, [begun])
    (theirs,) = await orders.queue(pool, sold)
    await orders.begin(pool, alive, [theirs])
    await orders.bury(pool, dead)

    done = await orders.recover(pool, alive)

    rows = [await shops.execution(pool, one) for one in (begun, claimed, theirs)]
    assert done.freed == 2
    assert [(row.state, row.claimed_by, row.takeovers) for row in rows] == [
        ("queued", None, 1),
        ("queued", None, 0),
        ("running", alive, 0),
    ]
    (attempt,) = await shops.rows(pool, "SELECT * FROM attempts WHERE execution_id = %(id)s", id=begun)
    assert attempt.outcome == "abandoned"
    assert attempt.ended_at
    assert (await orders.recover(pool, alive)).freed == 0


async def test_who_leaves_in_good_order_is_not_waited_for(pool: db.Pool) -> None:
    """Executions of a worker that stopped properly are free at once, within its lease."""
    async with worker.registered(pool, "executor") as leaving:
        (one,) = await orders.queue(pool, await orders.version(pool))
        await orders.claim(pool, leaving)
        staying = await orders.hire(pool)
        assert (await orders.recover(pool, staying)).freed == 0

    assert (await orders.recover(pool, staying)).freed == 1
    assert await orders.claim(pool, staying) == [one]


async def test_many_recoveries_at_once(pool: db.Pool) -> None:
    """However many recoveries run at once, each execution is freed once and counts one takeover."""
    dead, alive = await orders.hire(pool), await orders.hire(pool)
    ids = await orders.queue(pool, await orders.version(pool, slots=30), 30)
    await orders.begin(pool, dead, ids)
    await orders.bury(pool, dead)

    done = await asyncio.gather(*(orders.recover(pool, alive) for _ in range(5)))

    assert sum(one.freed for one in done) == 30
    assert {row.takeovers for row in await shops.rows(pool, "SELECT takeovers FROM executions")} == {1}


async def test_it_gives_up_after_the_limit(pool: db.Pool) -> None:
    """At the limit of takeovers it fails: the fault is ours, nothing was spent, and the buyer may re-run it."""
    alive = await orders.hire(pool)
    sold = await orders.version(pool)
    paid = await orders.pay(pool, sold, alive)
    for takeovers in range(settings().takeover_limit):
        assert (await shops.execution(pool, paid)).takeovers == takeovers
        await die_with(pool, paid)
        done = await orders.recover(pool, alive)

    row = await shops.execution(pool, paid)
    assert (done.given_up, done.logged) == (1, 1)
    assert (row.state, row.code, row.fault, row.detail) == ("failed", "internal_error", "ours", "takeover_limit")
    reasons = await shops.rows(pool, "SELECT reason FROM attempts ORDER BY started_at")
    assert [reason for (reason,) in reasons] == ["first"] + ["takeover"] * (settings().takeover_limit - 1)
    ((reserved, spent),) = await shops.rows(pool, "SELECT reserved_usd, spent_usd FROM spend_days")
    assert (reserved, spent) == (0, 0)
    async with pool.connection() as conn:
        assert await lifecycle.rerun(conn, paid)


async def test_interrupted_sends_count_as_spent(pool: db.Pool) -> None:
    """Its owner died after the last allowed send: it fails, and each send counts at its worst-case cost."""
    alive = await orders.hire(pool)
    sold = await orders.version(pool)
    (one,) = await orders.queue(pool, sold)
    for _ in range(settings().send_limit):
        order = await die_with(pool, one)
        async with pool.connection() as conn:
            assert await orders.mark(conn, one, order.attempt_id)
        await orders.recover(pool, alive)

    row = await shops.execution(pool, one)
    assert (row.state, row.fault, row.detail, row.sends) == ("failed", "ours", "interrupted", settings().send_limit)
    ((reserved, spent),) = await shops.rows(pool, "SELECT reserved_usd, spent_usd FROM spend_days")
    assert (reserved, spent) == (0, settings().send_limit * sold.worst_cost_usd)


async def test_a_late_failure_changes_nothing(pool: db.Pool) -> None:
    """An owner that was declared dead can neither send nor fail an execution that another attempt has now."""
    alive = await orders.hire(pool)
    (one,) = await orders.queue(pool, await orders.version(pool))
    late = await die_with(pool, one)
    await orders.recover(pool, alive)
    (current,) = await orders.begin(pool, alive, [one])
    before = await shops.execution(pool, one)

    await orders.finish(pool, late, OURS)
    async with pool.connection() as conn:
        sent = await orders.mark(conn, one, late.attempt_id)

    assert sent is None
    assert await shops.execution(pool, one) == before
    assert before.attempt_id == current.attempt_id
    assert (await shops.rows(pool, "SELECT released_at FROM reservations")) == [(None,)]


async def test_a_first_valid_answer_is_kept(pool: db.Pool, shop: shops.Shop) -> None:
    """An answer that arrives after its attempt was taken over is stored; the other attempt then sends nothing."""
    await shop.openrouter(latency_seconds=0.5)
    (one,) = await orders.queue(pool, await shop.version(pool))
    late = await die_with(pool, one)
    calling = asyncio.create_task(steps.call(pool, await prepared(pool, late)))
    await shop.sends(arrived=1)
    alive = await orders.hire(pool)
    await orders.recover(pool, alive)
    (current,) = await orders.begin(pool, alive, [one])
    ready = await prepared(pool, current)
    await calling
    answered = await shops.execution(pool, one)

    with pytest.raises(ExecutionFailed, match="send_refused"):
        await steps.call(pool, ready)
    await orders.finish(pool, current, OURS)

    assert answered.state == "succeeded"
    row = await shops.execution(pool, one)
    assert row._replace(logged_round=0) == answered
    assert len(await shop.sends()) == 1
    ((logged,),) = await shops.rows(pool, "SELECT count(*) FROM usage_log")
    assert logged == 1


async def test_an_answer_of_an_earlier_round_is_not_kept(pool: db.Pool, shop: shops.Shop) -> None:
    """A re-run has its own answer; one from a send of the round before comes too late."""
    await shop.openrouter(latency_seconds=0.5)
    alive = await orders.hire(pool)
    paid = await orders.pay(pool, await shop.version(pool), alive)
    late = await die_with(pool, paid)
    calling = asyncio.create_task(steps.call(pool, await prepared(pool, late)))
    await shop.sends(arrived=1)
    await orders.recover(pool, alive)
    (current,) = await orders.begin(pool, alive, [paid])
    await orders.finish(pool, current, OURS)
    async with pool.connection() as conn:
        assert await lifecycle.rerun(conn, paid)
    with suppress(ExecutionFailed):
        await calling

    row = await shops.execution(pool, paid)
    assert (row.state, row.round, row.sealed_result, row.sends) == ("queued", 2, None, 0)


async def test_what_is_at_rest_but_unlogged_is_logged(pool: db.Pool) -> None:
    """A crash between the outcome and its usage row loses no row."""
    alive = await orders.hire(pool)
    (one,) = await orders.queue(pool, await orders.version(pool))
    (order,) = await orders.begin(pool, alive, [one])
    async with pool.connection() as conn:
        await steps.fail(conn, order, OURS)

    assert [(await orders.recover(pool, alive)).logged for _ in range(2)] == [1, 0]
    async with pool.connection() as conn:
        assert await usage_log.append(conn, [one]) == []


async def die_with(pool: db.Pool, execution_id: UUID) -> Order:
    """A worker begins an execution and stops its heartbeat."""
    dead = await orders.hire(pool)
    (order,) = await orders.begin(pool, dead, [execution_id])
    await orders.bury(pool, dead)
    return order


async def prepared(pool: db.Pool, order: Order) -> PreparedCall:
    """An execution that has begun and is ready to be sent."""
    async with pool.connection() as conn:
        opened = await steps.decrypt(conn, [order])
        (ready,) = await steps.substitute(conn, opened)
    return ready
