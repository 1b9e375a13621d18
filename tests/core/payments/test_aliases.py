"""Authorizations that were answered from another payment, against Postgres."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from core import db
from core.payments import aliases, ledger
from tests import orders, shops


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


async def request(pool: db.Pool) -> ledger.ClaimRequest:
    """A payment that could be claimed."""
    sold = await orders.version(pool, calls_a_day=5000)
    return ledger.ClaimRequest(orders.terms(sold), sold, orders.INPUTS, await orders.hire(pool))


def another(like: ledger.ClaimRequest) -> ledger.ClaimRequest:
    """A fresh authorization for the same request."""
    return ledger.ClaimRequest(orders.terms(like.version), like.version, like.inputs, like.owner)


async def claimed(pool: db.Pool, first: ledger.ClaimRequest) -> ledger.Payment:
    """That payment, claimed."""
    async with pool.connection() as conn:
        assert await ledger.claim(conn, [first]) == [True]
        return db.required(await ledger.find(conn, first.matched.payload))


async def record(pool: db.Pool, payment_id: UUID, fresh: ledger.ClaimRequest) -> bool:
    """Record it in a transaction of its own."""
    async with pool.connection() as conn:
        return await aliases.record(conn, payment_id, fresh.matched)


async def claim(pool: db.Pool, fresh: ledger.ClaimRequest) -> bool:
    """Claim it in a transaction of its own."""
    async with pool.connection() as conn:
        return (await ledger.claim(conn, [fresh]))[0]


async def test_an_alias_is_found_and_never_claimed(pool: db.Pool) -> None:
    """It finds the payment that it was answered from, with its own proof of the sender, and buys nothing."""
    first = await request(pool)
    payment, fresh = await claimed(pool, first), another(first)
    assert await record(pool, payment.id, fresh)
    assert not await claim(pool, fresh)
    assert not await record(pool, payment.id, fresh)

    async with pool.connection() as conn:
        found = db.required(await ledger.find(conn, fresh.matched.payload))
        assert await ledger.find(conn, another(first).matched.payload) is None
    assert (found.id, found.execution_id) == (payment.id, payment.execution_id)
    assert found.payload_sha256 != payment.payload_sha256
    assert found.request_sha256 == payment.request_sha256


async def test_what_was_claimed_is_no_alias(pool: db.Pool) -> None:
    """A payment stays its own, whatever a late request wants to answer it from."""
    first = await request(pool)
    payment, fresh = await claimed(pool, first), another(first)
    own = await claimed(pool, fresh)
    assert not await record(pool, payment.id, fresh)
    async with pool.connection() as conn:
        assert await ledger.find(conn, fresh.matched.payload) == own


async def test_an_alias_of_a_failed_payment_takes_nothing_back(pool: db.Pool) -> None:
    """Only the payload that was claimed may be settled again."""
    first = await request(pool)
    payment, fresh = await claimed(pool, first), another(first)
    assert await record(pool, payment.id, fresh)
    async with pool.connection() as conn:
        await ledger.fail(conn, payment.id, "refused")
        found = db.required(await ledger.find(conn, fresh.matched.payload))
        assert found.state == "failed"
        assert not await ledger.reclaim(conn, found, first.version, first.owner)
        own = db.required(await ledger.find(conn, first.matched.payload))
        assert await ledger.reclaim(conn, own, first.version, first.owner)


@pytest.mark.parametrize("claims_first", [True, False], ids=["claim", "alias"])
async def test_a_claim_and_an_alias_race(pool: db.Pool, claims_first: bool) -> None:
    """The second waits until the first is committed, and then changes nothing."""
    first = await request(pool)
    payment, fresh = await claimed(pool, first), another(first)
    async with pool.connection() as conn:
        if claims_first:
            assert await ledger.claim(conn, [fresh]) == [True]
            late = asyncio.create_task(record(pool, payment.id, fresh))
        else:
            assert await aliases.record(conn, payment.id, fresh.matched)
            late = asyncio.create_task(claim(pool, fresh))
        await shops.lock_awaited(pool)
        await conn.commit()
    assert not await late
    async with pool.connection() as conn:
        found = db.required(await ledger.find(conn, fresh.matched.payload))
    assert found.id == (fresh.payment_id if claims_first else payment.id)
