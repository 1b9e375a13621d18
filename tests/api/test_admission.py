"""Admission of a payment whose request is cut off half way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import psycopg
import pytest

from api.door import Door
from api.rate_limits import RateLimiter, rate
from core import db
from core.db import notifications
from core.executions import status_tokens
from core.payments import admission, ledger, settlement
from core.payments.purchase import Purchase
from core.process import worker
from core.settings import settings
from tests import practice, shops
from tests.shops import Shop

R = TypeVar("R")

_WAITS = (
    "SELECT count(*) > 0 AS done FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE NOT granted AND datname = current_database()"
)


@pytest.fixture
async def door(surroundings: Path, pool: db.Pool) -> AsyncIterator[Door]:
    """The door's state without its routes."""
    async with (
        notifications.listening() as hub,
        settlement.payment_clients() as clients,
        worker.registered(pool, "door") as worker_id,
    ):
        rates = rate("100/second"), rate("100/second"), rate("100/second")
        yield Door(pool, hub, clients, worker_id, RateLimiter(), *rates)


async def test_a_claim_is_settled_whatever_becomes_of_its_request(door: Door, pool: db.Pool, shop: Shop) -> None:
    """A request that is cut off while its claim waits for a lock is still settled once it is claimed."""
    purchase = await signed(pool, shop)
    async with pool.connection() as holder:
        await holder.execute("SELECT FROM accounts WHERE id = %s FOR UPDATE", [shop.account.id])
        request = asyncio.create_task(admission.admit(door, purchase))
        await shops.until(pool, _WAITS)
        request.cancel()
        await asyncio.wait({request})
        await holder.rollback()
    await settled(door)

    assert request.cancelled()
    assert await history(pool, purchase) == [["settling", "paid"]]


async def test_a_claim_whose_commit_nobody_heard_of(
    door: Door, pool: db.Pool, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that is committed while the connection breaks has failed, and the identical payment may come back."""

    async def heard_nothing(shared: db.Pool, claim: Callable[[db.Connection], Awaitable[R]]) -> R:
        await db.run_in_autocommit(shared, claim)
        raise psycopg.OperationalError

    purchase = await signed(pool, shop)
    with monkeypatch.context() as broken:
        broken.setattr(admission, "_claims", db.BatchWriter(admission._commit_claims, heard_nothing))
        with pytest.raises(psycopg.OperationalError):
            await admission.admit(door, purchase)
    await settled(door)
    assert await history(pool, purchase) == [["settling", "failed"]]
    assert await shop.received() == []

    token = status_tokens.token_of(await bought(pool, purchase))
    await admission.admit(door, replace(purchase, status_token=token))
    await settled(door)
    assert await history(pool, purchase) == [["settling", "failed", "settling", "paid"]]
    assert len(await shop.received()) == 1


async def test_a_settlement_that_breaks_is_logged_at_once(
    door: Door, pool: db.Pool, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody awaits it. Its payment stays as it is, for recovery."""
    purchase = await signed(pool, shop)
    async with pool.connection() as holder:
        await holder.execute("SELECT FROM accounts WHERE id = %s FOR UPDATE", [shop.account.id])
        request = asyncio.create_task(admission.admit(door, purchase))
        await shops.until(pool, _WAITS)
        door.clients.facilitators.clear()  # type: ignore[attr-defined] - the claim gets through, and then nobody settles
        await holder.rollback()
    await request
    await settled(door)

    (message,) = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert message.startswith("the task settle ended with KeyError at core/payments/settlement.py:")
    assert await history(pool, purchase) == [["settling"]]


async def signed(pool: db.Pool, shop: Shop) -> Purchase:
    """A payment that would settle, for the shop's prompt."""
    version = await shop.version(pool)
    paid = await practice.funded(settings().networks[0], amount=version.price_atomic, pay_to=shop.payout)
    return Purchase(paid, version, {"topic": "the sea"})


async def settled(door: Door) -> None:
    """Wait for settlements, as shutdown does."""
    while door.settling:
        await asyncio.wait(door.settling)


async def history(pool: db.Pool, purchase: Purchase) -> list[list[str]]:
    """The states of each payment for this version, in order."""
    query = """
        SELECT array_agg(to_state ORDER BY payment_transitions.id) AS states
        FROM payments JOIN payment_transitions ON payment_transitions.payment_id = payments.id
        WHERE version_id = %s GROUP BY payments.id
    """
    async with pool.connection() as conn:
        rows = await (await conn.execute(query, [purchase.version.version_id])).fetchall()
    return [row.states for row in rows]


async def bought(pool: db.Pool, purchase: Purchase) -> UUID:
    """The execution that this payment bought."""
    async with pool.connection() as conn:
        payment = await ledger.find(conn, purchase.payload)
    assert payment
    return payment.execution_id
