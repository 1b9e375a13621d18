"""Executions without a door: sold, paid and queued by calling core."""

import os
from uuid import UUID, uuid4

from core import db, recovery
from core.executions import lifecycle, sends, steps
from core.executions import queue as execution_queue
from core.failures import ExecutionFailed
from core.payments import ledger, matching, settlement
from core.process import worker
from core.resources import readiness, versions
from core.settings import SANDBOX_NETWORK, settings
from core.spend import usage_log
from tests import practice, selling

INPUTS = {"topic": "the sea"}


async def version(pool: db.Pool, **limits: object) -> versions.Version:
    """What a creator of its own sells."""
    async with pool.connection() as conn:
        return await published(conn, **limits)


async def published(
    conn: db.Connection,
    *,
    slots: int = 5,
    calls_a_day: int = 1000,
    own_calls_a_day: int | None = None,
    calls_a_month: int | None = None,
    own_calls_a_month: int | None = None,
    queue_limit: int = 200,
) -> versions.Version:
    """What a creator of its own sells, with spend caps, also of the resource alone, of so many calls at their worst."""
    owner = await selling.creator(conn)
    await selling.publish(conn, owner)
    sold = await readiness.resolve(conn, owner.handle, "haiku")
    await conn.execute(
        "UPDATE accounts SET slots = %s, daily_spend_cap_usd = %s, queue_limit = %s WHERE id = %s",
        [slots, calls_a_day * sold.worst_cost_usd, queue_limit, owner.id],
    )
    caps = {
        "UPDATE resources SET daily_spend_cap_usd = %s WHERE id = %s": (own_calls_a_day, sold.resource_id),
        "UPDATE accounts SET monthly_spend_cap_usd = %s WHERE id = %s": (calls_a_month, owner.id),
        "UPDATE resources SET monthly_spend_cap_usd = %s WHERE id = %s": (own_calls_a_month, sold.resource_id),
    }
    for statement, (calls, subject) in caps.items():
        if calls is not None:
            await conn.execute(statement.encode(), [calls * sold.worst_cost_usd, subject])
    return sold


async def queue(pool: db.Pool, sold: versions.Version, count: int = 1) -> list[UUID]:
    """Owner's tests, queued together in one transaction."""
    async with pool.connection() as conn:
        return await create(conn, sold, count)


async def create(
    conn: db.Connection, sold: versions.Version, count: int = 1, inputs: dict[str, str] = INPUTS
) -> list[UUID]:
    """Owner's tests, queued when the transaction is committed."""
    tests = [lifecycle.NewExecution(sold, inputs) for _ in range(count)]
    await lifecycle.create(conn, tests)
    return [test.id for test in tests]


def terms(sold: versions.Version) -> matching.MatchedPayment:
    """A signed payment of a wallet that nobody has used, as the door would match it."""
    asked = practice.requirements(amount=sold.price_atomic, pay_to=selling.ADDRESS)
    return matching.match(practice.payment(practice.wallet(), asked), sold, {SANDBOX_NETWORK: selling.ADDRESS})


async def pay(
    pool: db.Pool, sold: versions.Version, owner: UUID, inputs: dict[str, str] = INPUTS, *, is_streamed: bool = False
) -> UUID:
    """A paid, queued execution."""
    async with pool.connection() as conn:
        request = ledger.ClaimRequest(terms(sold), sold, inputs, owner, is_streamed)
        assert await ledger.claim(conn, [request]) == [True]
        await ledger.pay(conn, [ledger.Paid(request.payment_id, a_transaction(), "settled")])
    return request.execution_id


def a_transaction() -> str:
    """The hash of a transaction that nobody has seen."""
    return "0x" + os.urandom(32).hex()


async def hire(pool: db.Pool) -> UUID:
    """A worker that looks alive until its lease is over."""
    async with pool.connection() as conn:
        return await hired(conn)


async def hired(conn: db.Connection) -> UUID:
    """The same, when the transaction is committed."""
    worker_id = uuid4()
    await worker.sql.register(
        conn, id=worker_id, kind="executor", host="here", pid=os.getpid(), flow_run_id=None, master_key_ids=[]
    )
    return worker_id


async def bury(pool: db.Pool, worker_id: UUID) -> None:
    """Let a worker have been silent for longer than its lease."""
    silence = 2 * settings().lease_seconds
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE workers SET heartbeat_at = now() - make_interval(secs => %s) WHERE id = %s", [silence, worker_id]
        )


async def claim(pool: db.Pool, worker_id: UUID, most: int = 32, **how: bool) -> list[UUID]:
    """What a launcher takes now."""
    async with pool.connection() as conn:
        batch = await execution_queue.claim(conn, worker_id, most, **how)
    return batch.execution_ids if batch else []


async def begin(pool: db.Pool, worker_id: UUID, ids: list[UUID]) -> list[steps.Order]:
    """Claim exactly these, and take their attempts."""
    assert set(await claim(pool, worker_id, len(ids))) == set(ids)
    return await take(pool, ids)


async def take(pool: db.Pool, ids: list[UUID]) -> list[steps.Order]:
    """Take the attempts of what is claimed, as the flow would that its owner starts."""
    async with pool.connection() as conn:
        claims = await conn.execute(
            "SELECT batch_id, claimed_by, array_agg(id) AS ids FROM executions"
            " WHERE id = ANY(%s) AND claimed_by IS NOT NULL GROUP BY batch_id, claimed_by",
            [ids],
        )
        batches = await claims.fetchall()
    return [
        order
        for batch_id, owner, members in batches
        for order in await steps.validate(pool, execution_queue.Batch(batch_id, members), owner, None)
    ]


async def mark(conn: db.Connection, execution_id: UUID, attempt_id: UUID) -> int | None:
    """The mark of the next send, without any bytes; None where there may be none."""
    limit = settings().send_limit
    rows = sends.sql.mark(
        conn,
        ids=[execution_id],
        attempt_ids=[attempt_id],
        sealed_requests=[None],
        model_ids=[None],
        latin_characters=[None],
        other_characters=[None],
        send_limit=limit,
    )
    return next(iter([row.number async for row in rows]), None)


async def finish(pool: db.Pool, order: steps.Order, trouble: ExecutionFailed) -> None:
    """Bring an execution to rest without an answer, and log it."""
    async with pool.connection() as conn:
        await steps.fail(conn, order, trouble)
        await usage_log.append(conn, [order.id])


async def recover(pool: db.Pool, worker_id: UUID) -> recovery.Recovered:
    """One pass of recovery."""
    async with settlement.payment_clients() as clients:
        return await recovery.recover(pool, clients, worker_id)
