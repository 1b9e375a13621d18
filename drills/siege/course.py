"""Run a siege: measure the normal time without attack, then attack, then wait for calm; and judge."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import Any

import psutil

from core import db
from deployments import postgres as embedded
from drills.siege import attacks, honest, spending, watch
from drills.siege.attacks import Told
from drills.siege.grounds import PROXY, Grounds
from drills.siege.honest import Honest, Service
from drills.surroundings import Surroundings, database, pool
from tests import doors, servers, shops
from tests.shops import Buyer, Shop

SETTINGS = {"INSTANT_TRUSTED_PROXIES": f'["{PROXY}/32"]'}
"""All that differs from the defaults: attackers claim to be many, as through a proxy."""

_WARM_SECONDS = 10
_CALM_SECONDS = 20
_SHOWN = 20
# Above this, another's work may be the reason why somebody waited.
_MOST_OTHERS = 0.5
_MOST_LATE = 0.25


async def drill(around: Surroundings, seed: int, seconds: float, names: frozenset[str]) -> dict[str, object]:
    """Run the drill; return the counts, with everything that is wrong.

    Args:
        around: the surroundings.
        seed: for the attackers' dice.
        seconds: how long the siege lasts.
        names: the attacks to make, of `attacks.NAMES`.
    """
    told, readiness, late = Told(), watch.Readiness(), list[float]()
    with database(around) as url:
        port = servers.free_port()
        async with pool(url) as opened:
            with doors.door(around.folder, port, watch.limit_files, INSTANT_DATABASE_URL=url) as door:
                wallets = await honest.wallets()
                grounds = await _grounds(opened, door.url, wallets[0])
                buyers = Honest(grounds, wallets)
                process = psutil.Process(door.process.pid)
                await buyers.trade(_WARM_SECONDS)
                async with _during(watch.lateness(late)):
                    calm = await buyers.trade(_CALM_SECONDS)
                service = Service(honest.normal_of(calm))
                quiet, before = Service(service.normal, calm), await watch.level(process, port)
                late.clear()
                processors = watch.Processors(process, embedded.postmaster(around.folder / "postgres"))
                siege = attacks.besiege(grounds, seed, names, told)
                async with _during(siege, readiness.probe(grounds), watch.lateness(late)):
                    service.bought = await buyers.trade(seconds)
                cores = processors.cores()
                await watch.until_left(process, port, before.connections)
                after = await watch.level(process, port)
                wrong = [f"{count} times {what}" for what, count in told.wrong.items()]
                wrong += _turned_away(service, readiness)
                wrong += await watch.served_unpaid(opened)
                wrong += _not_as_before(before, after)
                faults = watch.log_faults(door.output)
                wrong += [f"{count} tracebacks that end with {line}" for line, count in faults.items()]
    counts: dict[str, object] = {
        "seconds_of_siege": seconds,
        "calm": quiet.told(),
        "honest": service.told(),
        "attacks": told.said,
        "ready": {**readiness.said, "slowestMs": round(readiness.slowest * 1000)},
        "before": before.told(),
        "after": after.told(),
        "logBytes": door.output.stat().st_size,
        "cores": cores,
        "lateMs": round(_p99(late) * 1000),
    }
    if slow := _slow(service, readiness):
        if reason := _overload(quiet, cores["others"], _p99(late)):
            counts["overloaded"] = f"{'; '.join(slow)}, but {reason}"
        else:
            wrong = slow + wrong
    return {**counts, "differences": len(wrong), "wrong": wrong[:_SHOWN]}


def _not_as_before(before: watch.Level, after: watch.Level) -> list[str]:
    growth = after.memory / before.memory
    rules = {
        f"the door's memory is {growth:.2f} times what it was": growth <= watch.MOST_GROWTH,
        f"{after.connections} connections are left of {before.connections}": after.connections <= before.connections,
    }
    return [broken for broken, is_kept in rules.items() if not is_kept]


def _turned_away(service: Service, readiness: watch.Readiness) -> list[str]:
    """List what no busy machine does."""
    wrong = readiness.wrong(is_late=False)
    if service.turned_away() > 1 - honest.LEAST_SHARE:
        wrong.append(f"{service.turned_away():.1%} of the honest were turned away")
    return wrong


def _slow(service: Service, readiness: watch.Readiness) -> list[str]:
    """List what is wrong, but may be so because the machine is busy."""
    wrong = readiness.wrong(is_late=True)
    if service.share() < honest.LEAST_SHARE:
        wrong.insert(0, f"only {service.share():.1%} of the honest were answered in time")
    return wrong


def _overload(quiet: Service, others: float, late: float) -> str:
    """Say why slow answers may be the machine's fault and not the door's; empty if they are the door's."""
    if quiet.share() < honest.LEAST_SHARE:
        return "not even without an attack were all answered in time"
    if others > _MOST_OTHERS:
        return f"other processes used {others:.1f} processors"
    if late > _MOST_LATE * quiet.normal:
        return f"the drill itself was {late:.2f} s late"
    return ""


def _p99(samples: list[float]) -> float:
    return quantiles(samples, n=100)[-1]


@asynccontextmanager
async def _during(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do all of this until the block ends; what fails ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        yield
        for task in tasks:
            task.cancel()


async def _grounds(opened: db.Pool, url: str, victim: Buyer) -> Grounds:
    """Open the shops, one for each kind of misbehaving model, because a creator's key decides how its model behaves."""
    await spending.prepare()
    return Grounds(
        url,
        shop=await shops.open_shop(opened),
        cut=await _shop(opened, spending.CUT),
        malformed=await _shop(opened, spending.NO_JSON, modality="json"),
        bomb=await _shop(opened, spending.BRACES, modality="json"),
        victim=victim,
    )


async def _shop(opened: db.Pool, fault: str, **changes: object) -> Shop:
    shop = await shops.open_shop(opened)
    if changes:
        await shop.publish(opened, **changes)
    await shop.openrouter(faults=[fault])
    return shop
