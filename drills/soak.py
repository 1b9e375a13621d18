"""Run ten thousand paid calls of mixed latencies while the provider fails and processes die; then compare the books.

One door and one executor run through all of it, and must not need more memory at the end than after warming up.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from core import db
from drills import kept, money, verdict
from drills.kept import Kept, Postgres, Victim
from drills.market import Market, Purchase, market, seeded
from drills.memory import Memory
from drills.pace import patience
from drills.surroundings import Surroundings, database, pool
from tests import servers
from tests.shops import PRICE_ATOMIC, Buyer, Shop

SETTINGS = {"INSTANT_LAUNCH": "executor", "INSTANT_PAYER_RATE": "1000000/minute"}
NEEDED = ("sandbox.openrouter", "sandbox.facilitator")
_SHOPS = 20
_SLOTS = 20
_WALLETS = 200
_BUYERS = 150
_EXECUTORS = 3
_KILLS = 10
# Per thousand calls.
_TROUBLED = 40
_TROUBLE = (
    "status:503",
    "status:503*2",
    "status:429;retry_after=1",
    "status:504",
    "status:400",
    "status:403",
    "error_200;code=502",
    "cut",
    "hang",
    "html",
    "empty",
    "refusal",
)
_PREFERENCES = ("wait=10", "wait=10", "wait=1", "respond-async")
# Seconds of the short calls, and the median and spread of the long ones.
_SHORT = (0.02, 0.3)
_MEDIAN, _SPREAD, _LONGEST = 0.8, 0.7, 4.0
# With fewer calls than this a process is not warmed up.
_JUDGED_FROM = 5000
_PATIENCE_SECONDS = 540


@dataclass(frozen=True)
class Stall:
    """A shop, and whether its calls are long."""

    shop: Shop
    is_long: bool


async def drill(around: Surroundings, seed: int, payments: int) -> dict[str, object]:
    """Run the drill; return the counts, with everything that is wrong."""
    dice, memory = seeded(seed, "soak"), Memory()
    told: list[Purchase] = []
    with database(around) as url:
        port = servers.free_port()
        changes = {"INSTANT_DATABASE_URL": url}
        async with pool(url) as opened:
            stalls = [await _stall(opened, dice, payments, is_long=bool(number % 2)) for number in range(_SHOPS)]
        async with AsyncExitStack() as stack:
            prefect = await stack.enter_async_context(kept.prefect(around))
            door = await stack.enter_async_context(kept.door(around, 1, port, **changes))
            executors = [kept.executor(around, number, **changes) for number in range(1, 1 + _EXECUTORS)]
            for one in executors:
                await stack.enter_async_context(one)
            place = await stack.enter_async_context(market(f"http://127.0.0.1:{port}"))
            mining = asyncio.create_task(place.mine())
            lasting = {one.name: one.pid for one in (door, executors[0]) if one.pid}
            watching = asyncio.create_task(memory.watch(lasting, lambda: len(told) / payments))
            began = time.monotonic()
            try:
                async with patience(_PATIENCE_SECONDS), asyncio.TaskGroup() as group:
                    group.create_task(_sell(place, stalls, seed, payments, told))
                    group.create_task(_strike(dice, payments, told, prefect, executors[1:], Postgres(around.folder)))
            finally:
                watching.cancel()
            selling = time.monotonic() - began
            async with pool(url) as opened:
                await verdict.rest(opened)
                mining.cancel()
                judged = await verdict.judge(opened, [stall.shop for stall in stalls], told)
                judged.wrong.extend(await verdict.unfinished_runs(opened))
            if payments >= _JUDGED_FROM:
                judged.wrong.extend(memory.grown())
            judged.wrong.extend(
                f"{one.name} did not live through it" for one in (door, executors[0]) if one.pid != lasting[one.name]
            )
    return {
        "payments": len(told),
        "perSecond": round(len(told) / selling, 1),
        "kills": _KILLS,
        "lost": {one.name: one.lost for one in [door, *executors, prefect] if one.lost},
        "unreached": place.unreached,
        "memory": memory.told(),
        **judged.counts(told),
    }


async def _stall(opened: db.Pool, dice: random.Random, payments: int, *, is_long: bool) -> Stall:
    """Set up a shop: with short calls, or with long calls and faults that each take their own time."""
    shop = await money.seller(opened, _SLOTS)
    if is_long:
        share = 2 * payments // _SHOPS
        await shop.openrouter(faults=[_long(dice) for _ in range(share)])
    else:
        await shop.openrouter(latency_seconds=round(dice.uniform(*_SHORT), 3))
    return Stall(shop, is_long)


def _long(dice: random.Random) -> str:
    if dice.randrange(1000) < _TROUBLED:
        return dice.choice(_TROUBLE)
    return f"slow:{min(_LONGEST, _MEDIAN * dice.lognormvariate(0, _SPREAD)):.3f}"


async def _sell(place: Market, stalls: Sequence[Stall], seed: int, payments: int, told: list[Purchase]) -> None:
    """Let many buyers pay, each as soon as the previous one has an answer."""
    wallets = [Buyer() for _ in range(_WALLETS)]
    for buyer in wallets:
        await place.reach(partial(buyer.fund, 2 * payments * PRICE_ATOMIC))
    numbers = iter(range(payments))

    async def buy() -> None:
        for number in numbers:
            dice = seeded(seed, number)
            stall = dice.choice(stalls)
            if not stall.is_long and dice.randrange(1000) < _TROUBLED:
                await place.reach(partial(stall.shop.openrouter, faults=[dice.choice(_TROUBLE)]))
            purchase = Purchase(wallets[number % _WALLETS], stall.shop)
            await place.sign(purchase)
            await place.to_the_end(purchase, dice.choice(_PREFERENCES))
            told.append(purchase)

    async with asyncio.TaskGroup() as buyers:
        for _ in range(_BUYERS):
            buyers.create_task(buy())


async def _strike(
    dice: random.Random,
    payments: int,
    told: list[Purchase],
    prefect: Kept,
    executors: Sequence[Kept],
    postgres: Postgres,
) -> None:
    """Kill executors at set shares of the work, and Prefect and Postgres once each in the middle."""
    moments: list[tuple[float, Victim]] = [(dice.uniform(0.05, 0.95), dice.choice(executors)) for _ in range(_KILLS)]
    for moment, victim in sorted([*moments, (0.4, prefect), (0.6, postgres)], key=lambda planned: planned[0]):
        while len(told) < moment * payments:  # noqa: ASYNC110 - many buyers make it true, and need not know of it
            await asyncio.sleep(0.1)
        await victim.strike(dice.uniform(0, 1))
