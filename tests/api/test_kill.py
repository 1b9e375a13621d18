"""kill -9 of the door, in the middle of a settlement and of a call: every execution still ends."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from core import db
from tests import doors, servers, shops
from tests.shops import Buyer, Shop


async def _settling(pool: db.Pool, _shop: Shop, buyer: Buyer) -> None:
    """Wait until the facilitator was asked to settle, and has not answered yet."""

    async def asked() -> bool:
        return await buyer.settles() == 1

    await shops.eventually(asked)


async def _calling(pool: db.Pool, shop: Shop, _buyer: Buyer) -> None:
    """Wait until the provider has the request, and has not answered yet."""

    async def sent() -> bool:
        return len(await shop.sends()) == 1

    await shops.eventually(sent)


@pytest.mark.parametrize(
    ("moment", "fault"),
    [(_settling, "slow:3"), (_settling, "slow_before:3"), (_calling, None)],
    ids=["settled-but-not-told", "not-yet-settled", "in-the-call"],
)
async def test_kill_the_door(
    surroundings: Path,
    shop: Shop,
    moment: Callable[[db.Pool, Shop, Buyer], Awaitable[None]],
    fault: str | None,
) -> None:
    """After a restart there is one transfer, one answer, one usage row, and the same payment still gets the answer."""
    buyer = await Buyer().fund()
    port = servers.free_port()
    inputs = {"topic": "the sea"}
    await shop.openrouter(latency_seconds=2)
    if fault:
        await buyer.facilitator(fault)
    async with db.pool() as pool, httpx.AsyncClient(timeout=60) as client:
        with doors.door(surroundings, port) as door:
            url = door.url + shop.path
            paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, inputs), "Prefer": "wait=30"}
            first = asyncio.create_task(client.post(url, json=inputs, headers=paid))
            await moment(pool, shop, buyer)
            door.kill()
            with suppress(httpx.TransportError):
                await first
        with doors.door(surroundings, port):
            answer = await client.post(url, json=inputs, headers=paid)
            (execution,) = await shops.at_rest(pool, shop)

    assert answer.status_code == 200, answer.text
    assert (execution.state, execution.usage_rows) == ("succeeded", 1)
    assert [transfer["transaction"] for transfer in await shop.received()] == [execution.transaction]
    assert len(await shop.sends()) == execution.sends <= 2
