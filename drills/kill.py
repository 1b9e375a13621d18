"""Kill sixty processes at random moments under load: doors, executors, Prefect's server and Postgres.

Each is started again while the next may already be dying. Buyers arrive all the time, with every story of `stories`. In
the end each buyer must have got true answers, and every execution must have ended.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import chain, count, repeat

from drills import kept, money, verdict
from drills.kept import Victim
from drills.market import Market, Purchase, market, seeded
from drills.stories import MIX
from drills.surroundings import Surroundings, database, pool
from tests import servers
from tests.shops import Shop

SETTINGS = money.SETTINGS | {
    "INSTANT_LAUNCH": "executor",
    # Shorter than Prefect is down, so that some executions run without it.
    "INSTANT_PREFECT_PATIENCE_SECONDS": "3",
}
NEEDED = ("sandbox.openrouter", "sandbox.facilitator")
_SHOPS = 10
_BUYERS = 25
# The weights per process: two doors, three executors, and the servers that they depend on.
_DOOR, _EXECUTOR, _PREFECT, _POSTGRES = 23, 15, 5, 4
_MOST_CALM = 2.5
_MOST_PAUSE = 1.5


async def drill(around: Surroundings, seed: int, kills: int) -> dict[str, object]:
    """Run the drill; return the counts, with everything that is wrong."""
    with database(around) as url:
        ports = [servers.free_port() for _ in range(2)]
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        changes = {"INSTANT_DATABASE_URL": url, "INSTANT_PUBLIC_URL": urls[0]}
        async with pool(url) as opened:
            sellers = [await money.seller(opened) for _ in range(_SHOPS)]
        async with AsyncExitStack() as stack:
            prefect = await stack.enter_async_context(kept.prefect(around))
            processes = [kept.door(around, number, port, **changes) for number, port in enumerate(ports, 1)]
            processes += [kept.executor(around, number, **changes) for number in range(1, 4)]
            for one in processes:
                await stack.enter_async_context(one)
            place = await stack.enter_async_context(market(*urls))
            shares: dict[Victim, int] = {prefect: _PREFECT, kept.Postgres(around.folder): _POSTGRES}
            shares |= {one: _DOOR if one.name.startswith("door") else _EXECUTOR for one in processes}
            mining = asyncio.create_task(place.mine())
            told, struck = await _trade(place, sellers, shares, seed, kills)
            # A fresh pool: the first one's connections may belong to a Postgres that was killed.
            async with pool(url) as opened:
                await verdict.rest(opened)
                mining.cancel()
                judged = await verdict.judge(opened, sellers, told)
                judged.wrong.extend(await verdict.unfinished_runs(opened))
    return {
        "kills": struck,
        "lost": {one.name: one.lost for one in [*processes, prefect] if one.lost},
        "payments": len(told),
        "unreached": place.unreached,
        **judged.counts(told),
    }


async def _trade(
    place: Market, sellers: Sequence[Shop], shares: dict[Victim, int], seed: int, kills: int
) -> tuple[list[Purchase], Counter[str]]:
    """Let buyers arrive until the last victim is back; return their purchases, and the kills by name."""
    told: list[Purchase] = []
    numbers = count()
    over = asyncio.Event()
    stories = list(chain.from_iterable(repeat(story, share) for story, share in MIX.items()))

    async def come() -> None:
        while not over.is_set():
            dice = seeded(seed, next(numbers))
            told.append(await dice.choice(stories)(place, dice, dice.choice(sellers)))

    async with asyncio.TaskGroup() as buyers:
        for _ in range(_BUYERS):
            buyers.create_task(come())
        struck = await _strike(shares, seeded(seed, "kill"), kills)
        over.set()
    return told, struck


async def _strike(shares: dict[Victim, int], dice: random.Random, kills: int) -> Counter[str]:
    """Kill one process after the other, skipping those that are still down."""
    struck: Counter[str] = Counter()
    down: set[Victim] = set()

    async def one(victim: Victim) -> None:
        await victim.strike(dice.uniform(0, _MOST_PAUSE))
        down.discard(victim)

    async with asyncio.TaskGroup() as strikes:
        while struck.total() < kills:
            await asyncio.sleep(dice.uniform(0, _MOST_CALM))
            victim = dice.choices(list(shares), list(shares.values()))[0]
            if victim not in down:
                down.add(victim)
                struck[victim.name.split("-")[0]] += 1
                strikes.create_task(one(victim))
    return struck
