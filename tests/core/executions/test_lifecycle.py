"""Claims, sends and re-runs, against Postgres without Prefect."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from core import db
from core.accounts import accounts
from core.executions import lifecycle, steps
from core.executions import queue as execution_queue
from core.executions.queue import Batch
from core.failures import ExecutionFailed, Unavailable
from core.process import worker
from core.resources import readiness
from core.settings import settings
from tests import orders, selling, shops

OURS = ExecutionFailed("internal_error", "ours", "internal_Practice")
BUYERS = ExecutionFailed("content_filtered", "buyer", "provider_403")


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


async def test_creators_take_turns(pool: db.Pool) -> None:
    """However many calls one creator has queued, another creator's first is second; within a creator, oldest first."""
    busy, other = await orders.version(pool), await orders.version(pool)
    many = [(await orders.queue(pool, busy))[0] for _ in range(4)]
    few = [(await orders.queue(pool, other))[0] for _ in range(2)]
    launcher = await orders.hire(pool)

    assert set(await orders.claim(pool, launcher, 2)) == {many[0], few[0]}
    assert set(await orders.claim(pool, launcher, 3)) == {many[1], few[1], many[2]}
    assert await orders.claim(pool, launcher) == [many[3]]
    assert await orders.claim(pool, launcher) == []


async def test_slots_bound_what_runs_at_once(pool: db.Pool) -> None:
    """Claimed and running executions fill a creator's slots; a finished one makes room for exactly one more."""
    sold = await orders.version(pool, slots=2)
    await orders.queue(pool, sold, 5)
    launcher = await orders.hire(pool)
    first = await orders.claim(pool, launcher)
    assert len(first) == 2
    assert await orders.claim(pool, launcher) == []

    (order, _) = await orders.take(pool, first)
    assert await orders.claim(pool, launcher) == []
    await orders.finish(pool, order, OURS)

    assert len(await orders.claim(pool, launcher)) == 1
    assert await orders.claim(pool, launcher) == []


async def test_concurrent_claims_never_take_one_twice(pool: db.Pool) -> None:
    """Six launchers at once empty three creators' queue: each execution is claimed once, and no slot is exceeded."""
    sold = [await orders.version(pool, slots=slots) for slots in (40, 40, 7)]
    queued = {one.account_id: await orders.queue(pool, one, 20) for one in sold}
    launchers = [await orders.hire(pool) for _ in range(6)]

    async def empty(launcher: UUID) -> list[UUID]:
        taken: list[UUID] = []
        while more := await orders.claim(pool, launcher, 3):
            taken += more
        return taken

    taken = [one for share in await asyncio.gather(*map(empty, launchers)) for one in share]

    assert len(taken) == len(set(taken)) == 20 + 20 + 7
    assert len(set(taken) & set(queued[sold[2].account_id])) == 7


async def test_taken_over_twice_comes_alone(pool: db.Pool) -> None:
    """An execution that was taken over twice is claimed alone, and neither kind waits for the other to run out."""
    sold = await orders.version(pool)
    (suspect,) = await orders.queue(pool, sold)
    await shops.rows(pool, "UPDATE executions SET takeovers = 2 WHERE id = %(id)s RETURNING id", id=suspect)
    others = await orders.queue(pool, sold, 2)
    launcher = await orders.hire(pool)

    assert await orders.claim(pool, launcher, alone_first=True) == [suspect]
    await put_back(pool)
    assert set(await orders.claim(pool, launcher)) == set(others)
    assert await orders.claim(pool, launcher) == [suspect]


async def test_a_run_takes_along_what_was_queued_since(pool: db.Pool) -> None:
    """A run that begins also claims what was queued since, up to its limit and each creator's slots, oldest first."""
    sold, other = await orders.version(pool, slots=3), await orders.version(pool)
    (first,) = await orders.queue(pool, sold)
    launcher = await orders.hire(pool)
    batch = await claimed(pool, launcher)
    later = [(await orders.queue(pool, sold))[0] for _ in range(3)]
    (foreign,) = await orders.queue(pool, other)

    async with pool.connection() as conn:
        assert (await execution_queue.top_up(conn, batch, launcher, most=1)).execution_ids == [first]
        grown = await execution_queue.top_up(conn, batch, launcher, most=2)
        assert grown.execution_ids == [first, later[0]]
        await conn.rollback()
    taken = await steps.validate(pool, batch, launcher, None)

    assert {order.id for order in taken} == {first, later[0], later[1], foreign}
    assert {(await shops.execution(pool, order.id)).batch_id for order in taken} == {batch.id}
    assert await orders.claim(pool, launcher) == []


async def test_who_runs_alone_stays_alone(pool: db.Pool) -> None:
    """An execution that was taken over twice is neither claimed by another run nor makes its run claim others."""
    sold, launcher = await orders.version(pool), await orders.hire(pool)
    (suspect,) = await orders.queue(pool, sold)
    await shops.rows(pool, "UPDATE executions SET takeovers = 2 RETURNING id")
    alone = await claimed(pool, launcher)
    (first,) = await orders.queue(pool, sold)
    assert [order.id for order in await steps.validate(pool, alone, launcher, None)] == [suspect]

    batch = await claimed(pool, launcher)
    await orders.queue(pool, sold)
    await shops.rows(pool, "UPDATE executions SET takeovers = 2 WHERE claimed_by IS NULL RETURNING id")
    assert [order.id for order in await steps.validate(pool, batch, launcher, None)] == [first]


async def test_who_leaves_takes_nothing_along(pool: db.Pool) -> None:
    """A process that is stopping finishes what it has claimed, and leaves the queue to the others."""
    sold, launcher = await orders.version(pool), await orders.hire(pool)
    first = await orders.queue(pool, sold)
    batch = await claimed(pool, launcher)
    others = await orders.queue(pool, sold)
    with worker.draining():
        assert [order.id for order in await steps.validate(pool, batch, launcher, None)] == first
    assert await orders.claim(pool, launcher) == others


async def test_a_run_that_is_over_takes_nothing(pool: db.Pool) -> None:
    """When an operator re-runs it in Prefect, its batch is gone: queued executions wait for a launcher."""
    sold, launcher = await orders.version(pool), await orders.hire(pool)
    await orders.queue(pool, sold)
    batch = await claimed(pool, launcher)
    (order,) = await steps.validate(pool, batch, launcher, None)
    await orders.finish(pool, order, OURS)
    async with pool.connection() as conn:
        await execution_queue.release(conn, batch, launcher)
    queued = await orders.queue(pool, sold)

    assert await steps.validate(pool, batch, launcher, None) == []
    assert await orders.claim(pool, launcher) == queued


@pytest.mark.parametrize("exhausted", ["takeovers", "sends"])
async def test_what_is_exhausted_is_not_claimed(pool: db.Pool, exhausted: str) -> None:
    """At its limit of takeovers or sends an execution is left to recovery, however fast the launchers are."""
    limit = {"takeovers": settings().takeover_limit, "sends": settings().send_limit}[exhausted]
    (spent,) = await orders.queue(pool, await orders.version(pool))
    await shops.rows(pool, f"UPDATE executions SET {exhausted} = {limit} RETURNING id")  # noqa: S608 - words of ours
    launcher = await orders.hire(pool)

    assert await orders.claim(pool, launcher) == []
    assert (await orders.recover(pool, launcher)).given_up == 1
    assert (await shops.execution(pool, spent)).state == "failed"


async def test_hand_back_counts_only_what_had_begun(pool: db.Pool) -> None:
    """A failed run returns what it did not finish; an execution that never began is as if it had not been claimed."""
    ids = await orders.queue(pool, await orders.version(pool), 2)
    launcher, stranger = await orders.hire(pool), await orders.hire(pool)
    async with pool.connection() as conn:
        batch = await execution_queue.claim(conn, launcher, 2)
    assert batch
    await orders.take(pool, ids[:1])

    async with pool.connection() as conn:
        assert await execution_queue.release(conn, batch, stranger) == []
        assert set(await execution_queue.release(conn, batch, launcher)) == set(ids)
        assert await execution_queue.release(conn, batch, launcher) == []

    rows = [await shops.execution(pool, one) for one in ids]
    assert [(row.state, row.takeovers, row.claimed_by) for row in rows] == [("queued", 1, None), ("queued", 0, None)]


async def test_the_bound_of_sends_holds_under_concurrency(pool: db.Pool) -> None:
    """Of twenty marks at once as many succeed as sends are allowed, and none for an attempt that is not current."""
    (one,) = await orders.queue(pool, await orders.version(pool))
    (order,) = await orders.begin(pool, await orders.hire(pool), [one])
    limit = settings().send_limit

    async def mark(attempt_id: UUID) -> int | None:
        async with pool.connection() as conn:
            return await orders.mark(conn, one, attempt_id)

    assert await mark(one) is None
    marks = await asyncio.gather(*(mark(order.attempt_id) for _ in range(20)))

    assert sorted(filter(None, marks)) == list(range(1, limit + 1))
    assert (await shops.execution(pool, one)).sends == limit


async def test_reruns_are_bounded_in_number(pool: db.Pool) -> None:
    """A failure that is not the buyer's fault may be re-run with all its sends, up to the limit; revenue stays."""
    launcher = await orders.hire(pool)
    paid = await orders.pay(pool, await orders.version(pool), launcher)
    for reruns in range(settings().rerun_limit + 1):
        (order,) = await orders.begin(pool, launcher, [paid])
        assert order.round == reruns + 1
        await orders.finish(pool, order, OURS)
        asked = await asyncio.gather(*(rerun(pool, paid) for _ in range(4)))
        assert asked.count(True) == (1 if reruns < settings().rerun_limit else 0)

    row = await shops.execution(pool, paid)
    assert (row.state, row.round) == ("failed", settings().rerun_limit + 1)


async def test_reruns_are_bounded_in_time(pool: db.Pool) -> None:
    """After the re-run window there is no re-run."""
    launcher = await orders.hire(pool)
    paid = await orders.pay(pool, await orders.version(pool), launcher)
    (order,) = await orders.begin(pool, launcher, [paid])
    await orders.finish(pool, order, OURS)
    await shops.rows(pool, "UPDATE executions SET rerun_until = now() - interval '1 second' RETURNING id")

    assert not await rerun(pool, paid)


async def test_no_rerun_of_what_was_answered(pool: db.Pool) -> None:
    """The buyer's own fault counts as answered, a test is not paid for, and a running execution is not run twice."""
    launcher = await orders.hire(pool)
    sold = await orders.version(pool)
    declined = await orders.pay(pool, sold, launcher)
    (order,) = await orders.begin(pool, launcher, [declined])
    assert not await rerun(pool, declined)
    await orders.finish(pool, order, BUYERS)
    (test,) = await orders.queue(pool, sold)
    (order,) = await orders.begin(pool, launcher, [test])
    await orders.finish(pool, order, OURS)

    assert not await rerun(pool, declined)
    assert not await rerun(pool, test)
    assert (await shops.execution(pool, declined)).state == "declined"


@pytest.mark.parametrize(
    ("limit", "code"),
    [("queue_limit", "queue_full"), ("calls_a_day", "spend_cap"), ("own_calls_a_day", "resource_spend_cap")],
)
async def test_what_has_no_room_is_not_created(pool: db.Pool, limit: str, code: str) -> None:
    """At the queue limit or a spend cap no execution is created and nothing stays reserved, however many try."""
    sold = await orders.version(pool, **{limit: 4})

    async def ask() -> str:
        try:
            await orders.queue(pool, sold)
        except Unavailable as refusal:
            return refusal.code
        return "created"

    answers = await asyncio.gather(*(ask() for _ in range(12)))

    assert sorted(answers) == sorted(["created"] * 4 + [code] * 8)
    for days in ("spend_days", "resource_spend_days"):
        ((reserved,),) = await shops.rows(pool, f"SELECT reserved_usd FROM {days}")  # noqa: S608 - ours
        assert reserved == 4 * sold.worst_cost_usd
    assert len(await shops.rows(pool, "SELECT id FROM executions")) == 4


async def test_one_resource_at_its_cap_does_not_stop_another(pool: db.Pool) -> None:
    """A prompt's cap stops only that prompt; the creator's other prompts are still sold."""
    sold = await orders.version(pool, own_calls_a_day=1)
    async with pool.connection() as conn:
        await selling.publish(conn, accounts.Account(sold.account_id, sold.handle), slug="other")
        other = await readiness.resolve(conn, sold.handle, "other")
    await orders.queue(pool, sold)
    with pytest.raises(Unavailable, match="resource_spend_cap"):
        await orders.queue(pool, sold)
    await orders.queue(pool, other, 3)

    spent = await shops.rows(pool, "SELECT reserved_usd FROM resource_spend_days ORDER BY reserved_usd")
    assert [row.reserved_usd for row in spent] == [sold.worst_cost_usd, 3 * sold.worst_cost_usd]


async def claimed(pool: db.Pool, launcher: UUID) -> Batch:
    """Claim everything that is queued."""
    async with pool.connection() as conn:
        batch = await execution_queue.claim(conn, launcher, 32)
    assert batch
    return batch


async def rerun(pool: db.Pool, execution_id: UUID) -> bool:
    async with pool.connection() as conn:
        return await lifecycle.rerun(conn, execution_id)


async def put_back(pool: db.Pool) -> None:
    """Undo all claims."""
    await shops.rows(pool, "UPDATE executions SET claimed_by = NULL, batch_id = NULL RETURNING id")
