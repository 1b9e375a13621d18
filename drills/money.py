"""A thousand mixed payments while settlements, calls and the door fail at random; then the books are compared."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, repeat

from core import db
from drills import books, doors
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
_REST_SECONDS = 150
_SHOWN = 20

_UNSETTLED = """
SELECT NOT EXISTS (
    SELECT 1 FROM payments LEFT JOIN executions ON executions.payment_id = payments.id
    WHERE payments.state IN ('settling', 'unknown') OR (payments.state = 'failed' AND payments.proved_at IS NULL)
        OR executions.state IN ('held', 'queued', 'running')
        OR (executions.state <> 'void' AND executions.logged_round < executions.round)
) AS done
"""


async def drill(around: Surroundings, seed: int, payments: int) -> dict[str, object]:
    """Run it; what was counted, with everything that is wrong."""
    dice = seeded(seed, "money")
    stories = list(chain.from_iterable(repeat(story, share) for story, share in MIX.items()))
    plot = dice.choices(stories, k=payments)
    kills = sorted(dice.sample(range(payments // 20, payments - payments // 20), _KILLS))
    with database(around) as url:
        async with pool(url) as opened:
            sellers = [await _seller(opened) for _ in range(_SHOPS)]
            port = servers.free_port()
            async with market(f"http://127.0.0.1:{port}") as place:
                told = await _trade(place, around, url, port, plot, kills, sellers, seed, opened)
            now = await books.read(opened, sellers)
            wrong = [*books.differences(now), *_broken_words(now, told), *await books.check(opened)]
    return {
        "payments": len(told),
        "stories": Counter(story.__name__ for story in plot),
        "kills": len(kills),
        "claimed": len(now.sales),
        "executions": Counter(sale.state for sale in now.sales),
        "failures": Counter(sale.detail for sale in now.sales if sale.detail),
        "requests": sum(len(purchase.told) for purchase in told),
        "sends": now.sends.total(),
        "receivedAtomic": now.received,
        "answeredAtomic": now.answered,
        "owedAtomic": now.owed,
        "differences": len(wrong),
        "wrong": wrong[:_SHOWN],
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
    """Play all stories, with a door that dies after so many of them; then wait for rest."""
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
        with suppress(TimeoutError):
            await shops.until(opened, _UNSETTLED, seconds=_REST_SECONDS)
        for task in lasting:
            task.cancel()
    return told


async def _seller(opened: db.Pool) -> Shop:
    """A creator with enough budget and slots for his share, whose calls do not wait for long."""
    shop = await shops.open_shop(opened)
    await shop.publish(opened, timeout_seconds=_CALL_SECONDS)
    async with opened.connection() as conn:
        await conn.execute(
            "UPDATE accounts SET slots = 10, queue_limit = 1000, daily_spend_cap_usd = 1000 WHERE id = %s",
            [shop.account.id],
        )
    return shop


def _broken_words(now: books.Books, told: Sequence[Purchase]) -> list[str]:
    """What buyers were told, compared with what became of their payments."""
    sales = {sale.payer: sale for sale in now.sales}
    found = []
    for purchase in told:
        payer = purchase.buyer.wallet.address.lower()
        sale, last = sales.get(payer), purchase.told[-1]
        is_paid = sale is not None and sale.payment == "paid"
        rules = {
            "told of more than one answer": len(purchase.answers) <= 1,
            f"told {last}, and not paid": last == 402 or is_paid,
            f"told {last}, and paid": last != 402 or not is_paid or purchase.landed_directly,
            "landed, and not in the ledger": is_paid or not purchase.landed_directly,
        }
        wrong = [*purchase.wrong, *(broken for broken, is_kept in rules.items() if not is_kept)]
        found += [f"buyer {payer}, told {purchase.told}: {broken}" for broken in wrong]
    return found
