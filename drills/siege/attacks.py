"""All attacks, and how they are made: each at its own bounded rate, whatever becomes of the last strike."""

import asyncio
import random
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import httpx

from drills.market import seeded
from drills.siege import connections, payments, requests, spending
from drills.siege.grounds import Attack, Grounds, NoOffer

ATTACKS = (*payments.ATTACKS, *requests.ATTACKS, *spending.ATTACKS, *connections.ATTACKS)
HELD = "held connections"
NAMES = (*(attack.name for attack in ATTACKS), HELD)

# A door that answers slowly must not make the drill itself grow.
_IN_FLIGHT = 30


@dataclass
class Told:
    """What the door said to the attackers.

    Attributes:
        said: how often what, by attack; `skipped` are strikes that were due while too many were unanswered.
        wrong: what it may not say.
    """

    said: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    wrong: Counter[str] = field(default_factory=Counter)


async def besiege(grounds: Grounds, seed: int, names: frozenset[str], told: Told) -> None:
    """Make these attacks until cancelled."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        grounds.stack = stack
        for attack in ATTACKS:
            if attack.name in names:
                group.create_task(_repeat(attack, grounds, seeded(seed, attack.name), told))
        if HELD in names:
            group.create_task(connections.hold(grounds, told.said[HELD]))


async def _repeat(attack: Attack, grounds: Grounds, dice: random.Random, told: Told) -> None:
    loop, said = asyncio.get_running_loop(), told.said[attack.name]
    in_flight: set[asyncio.Task[None]] = set()
    due = loop.time() + dice.random() / attack.per_second
    try:
        while True:
            await asyncio.sleep(due - loop.time())
            # A late loop makes no burst of what it has missed.
            due = max(due, loop.time()) + dice.uniform(0.5, 1.5) / attack.per_second
            if len(in_flight) >= _IN_FLIGHT:
                said["skipped"] += 1
                continue
            strike = asyncio.create_task(_strike(attack, grounds, dice, told))
            in_flight.add(strike)
            strike.add_done_callback(in_flight.discard)
    finally:
        for strike in in_flight:
            strike.cancel()
        await asyncio.gather(*in_flight, return_exceptions=True)


async def _strike(attack: Attack, grounds: Grounds, dice: random.Random, told: Told) -> None:
    try:
        said = await attack.strike(grounds, dice)
    except NoOffer as refused:
        said = f"no offer: {refused}"
    except (httpx.TransportError, OSError, TimeoutError) as error:
        said = type(error).__name__
    told.said[attack.name][str(said)] += 1
    if attack.is_wrong(said):
        told.wrong[f"{attack.name}: {said}"] += 1
