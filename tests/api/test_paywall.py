"""Bringing a payment in, where the one who brought it goes away half way."""

import asyncio

import httpx
import pytest

from api import paywall
from api.door import Door, rate
from core import db, worker
from core.db import listen
from core.payment import settlement
from core.settings import settings
from tests import practice, servers, shops
from tests.shops import Shop

_WAITS = (
    "SELECT count(*) > 0 AS done FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


@pytest.mark.usefixtures("surroundings")
async def test_a_claim_is_settled_whatever_becomes_of_its_request(pool: db.Pool, shop: Shop) -> None:
    """The request is cut off while its claim waits for a lock: what is then claimed is settled all the same."""
    version, payer = await shop.version(pool), practice.wallet()
    asked = practice.requirements(amount=version.price_atomic, pay_to=shop.payout)
    faucet = f"{settings().networks[0].facilitator_url}/practice/faucet"
    async with httpx.AsyncClient(verify=servers.TLS) as http:
        (await http.post(faucet, json={"address": payer.address, "amount": version.price_atomic})).raise_for_status()
    purchase = paywall.Purchase(practice.payment(payer, asked), version, {"topic": "the sea"})
    async with (
        listen.listening() as hub,
        settlement.settlers() as settlers,
        worker.alive(pool, "door") as worker_id,
        pool.connection() as holder,
    ):
        door = Door(pool, hub, settlers, worker_id, rate("100/second"), rate("100/second"))
        await holder.execute("SELECT FROM accounts WHERE id = %s FOR UPDATE", [shop.account.id])
        request = asyncio.create_task(paywall.admit(door, purchase))
        await shops.until(pool, _WAITS)
        request.cancel()
        await asyncio.wait({request})
        await holder.rollback()
        while door.settling:
            await asyncio.wait(door.settling)
        async with pool.connection() as conn:
            found = await conn.execute("SELECT state FROM payments WHERE version_id = %s", [version.version_id])
            rows = await found.fetchall()

    assert request.cancelled()
    assert [row.state for row in rows] == ["paid"]
