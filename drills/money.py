"""Run a thousand mixed payments while settlements, calls and the door fail at random; then compare the books."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import chain, repeat

from core import db
from drills import doors, verdict
from drills.market import Market, Purchase, market, seeded
from drills.stories import MIX, WINDOW_SECONDS, Story
from drills.surroundings import Surroundings, database, pool
from tests import servers, shops
from tests.shops import Shop

SETTINGS = {
    "INSTANT_PAYMENT_WINDOW_SECONDS": str(WINDOW_SECONDS),
    "INSTANT_CHAIN_MARGIN_SECONDS": "2",
    "INSTANT_WATCH_SECONDS": "1",
    "INSTANT_RERUN_HOURS": "0.01",
}
_SHOPS = 10
_KILLS = 5
_CALL_SECONDS = 5


async def drill(around: Surroundings, seed: int, payments: int) -> dict[str, object]:
    """Run the drill; return the counts, with everything that is wrong."""
    dice = seeded(seed, "money")
    stories = list(chain.from_iterable(repeat(story, share) for story, share in MIX.items()))
    plot = dice.choices(stories, k=payments)
    kills = sorted(dice.sample(range(payments // 20, payments - payments // 20), _KILLS))
    with database(around) as url:
        async with pool(url) as opened:
            sellers = [await seller(opened) for _ in range(_SHOPS)]
            port = servers.free_port()
            async with market(f"http://127.0.0.1:{port}") as place:
                told = await _trade(place, around, url, port, plot, kills, sellers, seed, opened)
            judged = await verdict.judge(opened, sellers, told)
    return {
        "payments": len(told),
        "stories": Counter(story.__name__ for story in plot),
        "kills": len(kills),
        "unreached": place.unreached,
        **judged.counts(told),
    }


async def _trade(
    place: Market,
    around: Surroundings,
    url: str,
    port: int,
    plot: Sequence[Story],
    kills: Sequence[int],
    sellers: Sequence[Shop],
    seed: int,
    opened: db.Pool,
) -> list[Purchase]:
    """Play all stories, with a door that is killed after so many of them; then wait until all have ended."""
    ended = asyncio.Condition()
    told: list[Purchase] = []

    async def play(number: int, story: Story) -> None:
        dice = seeded(seed, number)
        async with place.slots:
            purchase = await story(place, dice, dice.choice(sellers))
        async with ended:
            told.append(purchase)
            ended.notify_all()

    async def keep_open() -> None:
        for so_many in [*kills, len(plot) + 1]:
            async with doors.calm(port, around.folder, {"INSTANT_DATABASE_URL": url}), ended:
                while len(told) < so_many:
                    await ended.wait()

    async with asyncio.TaskGroup() as around_them:
        lasting = [around_them.create_task(task) for task in (keep_open(), place.mine())]
        async with asyncio.TaskGroup() as buyers:
            for number, story in enumerate(plot):
                buyers.create_task(play(number, story))
        await verdict.rest(opened)
        for task in lasting:
            task.cancel()
    return told


async def seller(opened: db.Pool, slots: int = 10) -> Shop:
    """Set up a creator with enough budget and slots that calls hardly wait."""
    shop = await shops.open_shop(opened)
    await shop.publish(opened, timeout_seconds=_CALL_SECONDS)
    async with opened.connection() as conn:
        await conn.execute(
            "UPDATE accounts SET slots = %s, queue_limit = 1000, daily_spend_cap_usd = 10000 WHERE id = %s",
            [slots, shop.account.id],
        )
    return shop
