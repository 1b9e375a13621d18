"""What buyers do with a payment: each story makes one, and sees it through to something final."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from drills.market import INPUTS, Market, Purchase, stranger
from tests.shops import Shop

Story = Callable[[Market, random.Random, Shop], Awaitable[Purchase]]

WINDOW_SECONDS = 30
"""How long a payment is valid in this drill."""

_SETTLEMENT = ("lose_reply", "pending", "pending_never", "down", "slow:1", "slow_before:1", "front_run", "cancelled")
_PROVIDER = (
    "status:503",
    "status:503*2",
    "status:400",
    "status:429;retry_after=1",
    "status:504",
    "status:403",
    "cut",
    "hang",
    "slow:1",
    "html",
)
_PREFERENCES = ("wait=10", "wait=1", "respond-async")


async def buy(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Pay, and ask with the same payment until there is an answer."""
    purchase = await market.purchase(shop, _settlement(dice))
    await market.to_the_end(purchase, dice.choice(_PREFERENCES))
    return purchase


async def copies(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Present the same payment several times at once."""
    purchase = await market.purchase(shop, _settlement(dice))
    await asyncio.gather(*(market.present(purchase, "wait=5") for _ in range(dice.randint(2, 5))))
    await market.to_the_end(purchase)
    return purchase


async def later(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Come back for the answer, some time after it was given."""
    purchase = await buy(market, dice, shop)
    await asyncio.sleep(dice.uniform(0, 10))
    if purchase.told[-1] != 402:
        await market.to_the_end(purchase)
    return purchase


async def rerun(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Run for free again what failed."""
    await _trouble(market, dice, shop)
    purchase = await market.purchase(shop)
    answer = await market.to_the_end(purchase)
    if "rerunUrl" in answer.json():
        await market.ask("POST", answer.json()["rerunUrl"], headers={"Prefer": "wait=10"})
        await market.to_the_end(purchase)
    return purchase


async def provider_trouble(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Buy while the provider has trouble, and leave it at what comes of it."""
    await _trouble(market, dice, shop)
    return await buy(market, dice, shop)


async def robbed(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Somebody who saw the payment on the chain asks for the answer."""
    purchase = await buy(market, dice, shop)
    if purchase.told[-1] != 402:
        answer = await market.post(shop, stranger(purchase), INPUTS, "wait=1")
        if answer.status_code != 409 or "response" in answer.json():
            purchase.wrong.append(f"a stranger was told {answer.status_code}")
    return purchase


async def other_request(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Ask for something else with a payment that was used."""
    purchase = await buy(market, dice, shop)
    if purchase.told[-1] != 402:
        answer = await market.post(shop, purchase.header, {"topic": "the hills"}, "wait=1")
        if answer.status_code != 409:
            purchase.wrong.append(f"another request was told {answer.status_code}")
    return purchase


async def too_late(market: Market, _dice: random.Random, shop: Shop) -> Purchase:
    """Sign, and present it when it has expired."""
    purchase = await market.purchase(shop)
    await asyncio.sleep(WINDOW_SECONDS)
    await market.to_the_end(purchase)
    return purchase


async def never_settled(market: Market, _dice: random.Random, shop: Shop) -> Purchase:
    """A facilitator says pending until the payment has expired."""
    purchase = await market.purchase(shop, ["pending_never"] * 200)
    await market.to_the_end(purchase, "respond-async")
    return purchase


async def refused(market: Market, _dice: random.Random, shop: Shop) -> Purchase:
    """Be refused, and come back with the same payment."""
    purchase = await market.purchase(shop, ["refuse:insufficient_funds"])
    if (await market.to_the_end(purchase)).status_code == 402:
        await market.to_the_end(purchase)
    return purchase


async def landed_late(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Be refused, and see the payment land all the same."""
    purchase = await market.purchase(shop, ["refuse:insufficient_funds"])
    answer = await market.to_the_end(purchase)
    # One that came too late was never claimed, and is nobody's affair but the buyer's.
    if answer.status_code == 402 and answer.json()["code"] == "insufficient_funds":
        await asyncio.sleep(dice.uniform(0, 3))
        await market.land(purchase)
    return purchase


# How many of a hundred.
MIX: dict[Story, int] = {
    buy: 32,
    copies: 14,
    later: 10,
    provider_trouble: 8,
    rerun: 6,
    robbed: 6,
    other_request: 6,
    refused: 6,
    landed_late: 6,
    too_late: 3,
    never_settled: 3,
}


def _settlement(dice: random.Random) -> list[str]:
    """Half of the settlements go wrong in some way."""
    return [dice.choice(_SETTLEMENT)] if dice.random() < 0.5 else []


async def _trouble(market: Market, dice: random.Random, shop: Shop) -> None:
    """The next call on this shop's key goes wrong; it may be somebody else's."""
    faults = [dice.choice(_PROVIDER)]
    await market.reach(lambda: shop.openrouter(faults=faults))
