"""Attacks by wallets with money: payments that are never decided, and answers that fail as the buyer wants."""

import random

import httpx

from drills.siege.grounds import Attack, Grounds, Said
from tests.refusals import encoded
from tests.shops import PRICE_ATOMIC, Buyer, Shop

_FUNDS = 1000 * PRICE_ATOMIC
# One for each call of settle, of which there are many for one payment.
_NEVER = ["pending_never"] * 5000

BRACES = "says:" + "{" * 16_000 + "*always"
"""What a model says that was asked for 16,000 braces."""
CUT = "truncated*always"
NO_JSON = "says:no JSON at all*always"

_DOUBTFUL, _FARMER = Buyer(), Buyer()


async def prepare() -> None:
    """Give the attackers their money, and the facilitator its faults."""
    for buyer in (_DOUBTFUL, _FARMER):
        await buyer.fund(_FUNDS)
    await _DOUBTFUL.facilitator(*_NEVER)


async def _undecided(grounds: Grounds, _dice: random.Random) -> Said:
    """A payment whose settlement the facilitator never finishes."""
    source = "127.0.2.20"
    payment = encoded(await grounds.signed(source, grounds.shop, _DOUBTFUL))
    answer = await grounds.pay(source, grounds.shop, payment, Prefer="respond-async")
    return answer.status_code


async def _cut(grounds: Grounds, _dice: random.Random) -> Said:
    return await _farm(grounds, grounds.cut)


async def _malformed(grounds: Grounds, _dice: random.Random) -> Said:
    return await _farm(grounds, grounds.malformed)


async def _bomb(grounds: Grounds, _dice: random.Random) -> Said:
    return await _farm(grounds, grounds.bomb)


async def _farm(grounds: Grounds, shop: Shop) -> Said:
    """Buy an answer that fails, use up all free re-runs, and so be owed a refund."""
    source = "127.0.2.21"
    payment = encoded(await grounds.signed(source, shop, _FARMER))
    answer = await grounds.pay(source, shop, payment, Prefer="wait=20")
    paid = answer.status_code
    while answer.status_code == httpx.codes.BAD_GATEWAY and (rerun := answer.json().get("rerunUrl")):
        answer = await (await grounds.http(source)).post(rerun, headers={"Prefer": "wait=20"})
    return paid


ATTACKS = (
    Attack("undecided payments", 2, _undecided, may_succeed=True),
    Attack("refunds of cut answers", 0.3, _cut, may_succeed=True),
    Attack("refunds of malformed answers", 0.2, _malformed, may_succeed=True),
    Attack("braces", 0.2, _bomb, may_succeed=True),
)
