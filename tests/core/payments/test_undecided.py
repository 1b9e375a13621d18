"""Undecided payments cost little: they are looked at with growing pauses, and take no room from others."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from core import db
from core.executions import lifecycle
from core.failures import Unavailable
from core.payments import ledger
from core.settings import settings
from tests import orders, servers, shops


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    """An empty database."""
    async with db.pool() as opened:
        yield opened


async def test_settled_again_with_growing_pauses(pool: db.Pool, practice_facilitator: str) -> None:
    """Whichever process looks: each pause is twice the one before, and the requests to settle are bounded."""
    workers = [await orders.hire(pool) for _ in range(3)]
    claimed = await unknown(pool, workers[0])
    for number in range(settings().settle_limit + 1):
        await look(pool, claimed, *workers, pause=min(60, settings().recovery_seconds * 2**number))

    assert await settles(practice_facilitator, claimed) == settings().settle_limit - 1, "the first was before this test"
    assert (await row_of(pool, claimed)).looks == settings().settle_limit + 1


async def test_the_longest_pause(pool: db.Pool, practice_facilitator: str) -> None:
    """A minute; and one look is due as soon as the authorization can no longer land."""
    worker = await orders.hire(pool)
    claimed = await unknown(pool, worker)
    await shops.rows(pool, "UPDATE payments SET looks = 30, settles = 100 RETURNING id")
    await look(pool, claimed, worker, pause=60)

    await shops.rows(pool, "UPDATE payments SET look_at = NULL, valid_before = now() - interval '30 s' RETURNING id")
    await orders.recover(pool, worker)
    row = await row_of(pool, claimed)
    margin = settings().chain_margin_seconds + settings().recovery_seconds
    assert row.look_at - row.valid_before == timedelta(seconds=margin)


async def test_a_buyer_who_comes_back_starts_again(pool: db.Pool, practice_facilitator: str) -> None:
    """A refused payment that comes back is settled anew, with the first pause."""
    worker = await orders.hire(pool)
    claimed = await unknown(pool, worker)
    await shops.rows(pool, "UPDATE payments SET looks = 5, settles = 7, look_at = now() + interval '1 h' RETURNING id")
    async with pool.connection() as conn:
        await ledger.fail(conn, claimed.payment_id, "refused")
        found = db.required(await ledger.find(conn, claimed.matched.payload))
        assert await ledger.reclaim(conn, found, claimed.version, worker)

    row = await row_of(pool, claimed)
    assert (row.settles, row.looks, row.look_at) == (1, 0, None)


async def test_undecided_payments_do_not_fill_a_queue(pool: db.Pool) -> None:
    """Held executions are not counted; a claim needs room for its own execution in the queue of paid ones."""
    worker = await orders.hire(pool)
    sold = await orders.version(pool, queue_limit=2)

    async def claim() -> UUID:
        request = ledger.ClaimRequest(orders.terms(sold), sold, orders.INPUTS, worker)
        async with pool.connection() as conn:
            assert await ledger.claim(conn, [request]) == [True]
        return request.payment_id

    async def has_room() -> bool:
        query = "SELECT has_room FROM sale_state(interval '0') WHERE version_id = %(id)s"
        return bool((await shops.rows(pool, query, id=sold.version_id))[0].has_room)

    held = [await claim() for _ in range(4)]
    async with pool.connection() as conn:
        await lifecycle.queue_paid(conn, held[:1])
    assert await has_room()
    held.append(await claim())
    async with pool.connection() as conn:
        await lifecycle.queue_paid(conn, held)
    with pytest.raises(Unavailable, match="queue_full"):
        await claim()
    with pytest.raises(Unavailable, match="queue_full"):
        await orders.queue(pool, sold)
    assert not await has_room()


async def unknown(pool: db.Pool, worker: UUID) -> ledger.ClaimRequest:
    """A payment whose settlement is unknown, of a wallet without money."""
    sold = await orders.version(pool)
    request = ledger.ClaimRequest(orders.terms(sold), sold, orders.INPUTS, worker)
    async with pool.connection() as conn:
        assert await ledger.claim(conn, [request]) == [True]
        await ledger.mark_unknown(conn, request.payment_id, "connection_lost")
    return request


async def look(pool: db.Pool, claimed: ledger.ClaimRequest, *workers: UUID, pause: float) -> None:
    """Let recovery look at it now, in all these processes at once and then in one; check the pause that it sets."""
    await shops.rows(pool, "UPDATE payments SET look_at = now() RETURNING id")
    ((before,),) = await shops.rows(pool, "SELECT now()")
    await asyncio.gather(*(orders.recover(pool, worker) for worker in workers))
    await shops.rows(pool, "UPDATE payments SET look_at = look_at + interval '1 h' RETURNING id")
    await orders.recover(pool, workers[0])
    ((after,),) = await shops.rows(pool, "SELECT now()")
    row = await row_of(pool, claimed)

    assert row.state == "unknown"
    assert before <= row.look_at - timedelta(hours=1, seconds=pause) <= after


async def row_of(pool: db.Pool, claimed: ledger.ClaimRequest) -> Any:
    """Its row."""
    return (await shops.rows(pool, "SELECT * FROM payments WHERE id = %(id)s", id=claimed.payment_id))[0]


async def settles(facilitator: str, claimed: ledger.ClaimRequest) -> int:
    """How often the facilitator was asked to settle it."""
    async with httpx.AsyncClient(verify=servers.TLS) as http:
        payer = await http.get(f"{facilitator}/practice/payers/{claimed.matched.payer}")
        return int(payer.json()["settles"])
