"""Play what buyers do with a payment: each story makes one, and follows it to a final answer."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from drills.market import INPUTS, Market, Purchase, stranger
from tests.shops import Shop

Story = Callable[[Market, random.Random, Shop], Awaitable[Purchase]]

WINDOW_SECONDS = 30
"""The validity of a payment in this drill, in seconds."""

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
    """Fetch the answer again, some time after it was given."""
    purchase = await buy(market, dice, shop)
    await asyncio.sleep(dice.uniform(0, 10))
    if purchase.told[-1] != 402:
        await market.to_the_end(purchase)
    return purchase


async def rerun(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Re-run a failed call for free."""
    await _trouble(market, dice, shop)
    purchase = await market.purchase(shop)
    answer = await market.to_the_end(purchase)
    if "rerunUrl" in answer.json():
        await market.ask("POST", answer.json()["rerunUrl"], headers={"Prefer": "wait=10"})
        await market.to_the_end(purchase)
    return purchase


async def provider_trouble(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Buy while the provider fails, and accept the outcome."""
    await _trouble(market, dice, shop)
    return await buy(market, dice, shop)


async def robbed(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Ask for the answer as a stranger who saw the payment on the chain."""
    purchase = await buy(market, dice, shop)
    if purchase.told[-1] != 402:
        answer = await market.post(shop, stranger(purchase), INPUTS, "wait=1")
        if answer.status_code != 409 or "response" in answer.json():
            purchase.wrong.append(f"a stranger was told {answer.status_code}")
    return purchase


async def other_request(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Send another request with a payment that was used."""
    purchase = await buy(market, dice, shop)
    if purchase.told[-1] != 402:
        answer = await market.post(shop, purchase.header, {"topic": "the hills"}, "wait=1")
        if answer.status_code != 409:
            purchase.wrong.append(f"another request was told {answer.status_code}")
    return purchase


async def too_late(market: Market, _dice: random.Random, shop: Shop) -> Purchase:
    """Sign, and present the payment after it has expired."""
    purchase = await market.purchase(shop)
    await asyncio.sleep(WINDOW_SECONDS)
    await market.to_the_end(purchase)
    return purchase


async def never_settled(market: Market, _dice: random.Random, shop: Shop) -> Purchase:
    """Pay while the facilitator answers pending until the payment has expired."""
    purchase = await market.purchase(shop, ["pending_never"] * 200)
    await market.to_the_end(purchase, "respond-async")
    return purchase


async def refused(market: Market, _dice: random.Random, shop: Shop) -> Purchase:
    """Get refused, and present the same payment again."""
    purchase = await market.purchase(shop, ["refuse:insufficient_funds"])
    if (await market.to_the_end(purchase)).status_code == 402:
        await market.to_the_end(purchase)
    return purchase


async def landed_late(market: Market, dice: random.Random, shop: Shop) -> Purchase:
    """Get refused, and see the payment land later."""
    purchase = await market.purchase(shop, ["refuse:insufficient_funds"])
    answer = await market.to_the_end(purchase)
    # A payment that came too late was never claimed, so its landing concerns only the buyer.
    if answer.status_code == 402 and answer.json()["code"] == "insufficient_funds":
        await asyncio.sleep(dice.uniform(0, 3))
        await market.land(purchase)
    return purchase


# Weights in percent.
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
    """Choose a fault for half of the settlements."""
    return [dice.choice(_SETTLEMENT)] if dice.random() < 0.5 else []


async def _trouble(market: Market, dice: random.Random, shop: Shop) -> None:
    """Queue a fault for the next call on this shop's key, which may be another buyer's."""
    faults = [dice.choice(_PROVIDER)]
    await market.reach(lambda: shop.openrouter(faults=faults))
