"""The siege finds what is wrong: a drill that cannot fail proves nothing. A door stands one strike of each kind."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import db
from core.payments import ledger
from drills.market import seeded
from drills.siege import attacks, connections, course, honest, payments, requests, watch
from drills.siege.grounds import Attack, Grounds, NoOffer
from drills.siege.honest import Bought, Service
from tests import orders, shops
from tests.refusals import TOPIC
from tests.shops import Buyer

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
FREE = (*payments.ATTACKS, *requests.ATTACKS, *connections.ATTACKS)


@pytest.fixture(scope="module")
async def grounds(door: str, surroundings: Path) -> AsyncIterator[Grounds]:
    """A door, and a shop where somebody has bought."""
    async with AsyncExitStack() as stack, db.pool() as pool:
        shop = await shops.open_shop(pool)
        opened = Grounds(door, shop, shop, shop, shop, victim=await Buyer().fund(), stack=stack)
        header = await opened.victim.pay(door + shop.path, TOPIC)
        assert (await opened.pay("127.0.1.1", shop, header, TOPIC, Prefer="wait=20")).status_code == 200
        opened.headers.append(header)
        yield opened


@pytest.mark.parametrize("attack", FREE, ids=lambda attack: attack.name)
async def test_one_strike(grounds: Grounds, attack: Attack) -> None:
    """The attack reaches the door, and the door gives nothing away."""
    said = await attack.strike(grounds, seeded(1, attack.name))

    assert not attack.is_wrong(said)
    assert said == "hung up" or said in (200, 400, 401, 402, 404, 409, 429)


async def test_no_offer(grounds: Grounds) -> None:
    """An attacker who gets no offer says so, and pays nothing."""
    with pytest.raises(NoOffer):
        await grounds.offer("127.0.2.1", replace(grounds.shop, path=f"{grounds.shop.path}-of-nobody"))


def attack(*, may_succeed: bool = False) -> Attack:
    """An attack that is never made."""

    async def strike(_grounds: Grounds, _dice: Any) -> int:
        raise AssertionError

    return Attack("practice", 1, strike, may_succeed=may_succeed)


def test_the_page_names_the_rates() -> None:
    """Operators read how hard each attack is, and none is missing."""
    _, section = PAGE.read_text().split("## Under attack")
    rows = dict(re.findall(r"^\| ([^|]+) \| ([\d.]+)", section.split("\n## ")[0], re.MULTILINE))

    held = {attacks.HELD: float(connections.HELD)}
    assert {name: float(rate) for name, rate in rows.items()} == {
        attack.name: attack.per_second for attack in attacks.ATTACKS
    } | held


def test_what_the_door_may_not_say() -> None:
    """A crash is wrong to everybody, a success only to those who did not pay."""
    assert [attack().is_wrong(said) for said in (200, 202, 307, 500, "wrong: it is")] == [True] * 5
    assert [attack().is_wrong(said) for said in (400, 402, 409, 429, 503, "closed")] == [False] * 6
    assert [attack(may_succeed=True).is_wrong(said) for said in (200, 202, 502, 500)] == [False, False, False, True]


def service(*late: Bought, count: int = 300) -> Service:
    """Buyers of whom all but these are answered at the normal time."""
    return Service(1.0, [*late, *[Bought(200, 1.0)] * (count - len(late))])


@pytest.mark.parametrize("late", [Bought(200, 3.1), Bought(503, 0.1), Bought("ReadError", 0.1), Bought(202, 1.0)])
def test_who_is_not_served_in_time(late: Bought) -> None:
    """Three of three hundred may wait too long or be refused, and a fourth may not."""
    kept, broken = service(late, late, late), service(late, late, late, late)
    ready = watch.Readiness(Counter(ready=20))

    assert course._slow(kept, ready) == []
    assert len(course._slow(broken, ready)) == 1
    assert len(course._slow(kept, watch.Readiness(Counter({"ready": 20, "503": 1})))) == 1


def test_who_is_turned_away() -> None:
    """No busy machine closes connections, refuses a buyer for asking too often, or says 503 at once."""
    ready = watch.Readiness(Counter(ready=20))
    for late in (Bought(200, 9.0), Bought(202, 9.0), Bought(503, 5.0), Bought("ReadTimeout", 30.0)):
        assert course._turned_away(service(*[late] * 9), ready) == []
    for said in ("ReadError", 429, 402, 503, "no offer: 503"):
        refused = Bought(said, 0.1)
        assert course._turned_away(service(*[refused] * 3), ready) == []
        assert len(course._turned_away(service(*[refused] * 4), ready)) == 1
    assert len(course._turned_away(service(), watch.Readiness(Counter(ready=20, ReadError=1)))) == 1


def test_overload_is_no_fault() -> None:
    """Slow answers are the machine's if it was slow without an attack, if others used it, or if the drill was late."""
    calm = service()

    assert course._overload(calm, 0.1, 0.1) == ""
    assert course._overload(service(*[Bought(200, 4.0)] * 4), 0.1, 0.1)
    assert course._overload(calm, 1.2, 0.1)
    assert course._overload(calm, 0.1, 0.5)


def test_the_normal_time() -> None:
    """It is the median of those who were answered; without any there is none."""
    assert honest.normal_of([Bought(200, 1.0), Bought(200, 2.0), Bought(200, 9.0), Bought(503, 0.1)]) == 2.0
    with pytest.raises(RuntimeError):
        honest.normal_of([Bought(503, 0.1)])


def test_what_stays(tmp_path: Path) -> None:
    """Memory and connections that do not return, and tracebacks, are found."""
    before = watch.Level(100.0, 2)
    log = tmp_path / "door.log"
    log.write_text("WARNING fine\nTraceback (most recent call last):\n  File x\nKeyError: 'y'\nWARNING fine\n")

    assert course._not_as_before(before, watch.Level(120.0, 2)) == []
    assert len(course._not_as_before(before, watch.Level(130.0, 3))) == 2
    assert watch.log_faults(log) == {"KeyError: 'y'": 1}


@pytest.mark.parametrize(
    ("status", "document", "verdict"),
    [
        (503, {}, "503"),
        (200, {"ready": False}, "not ready"),
        (200, {"ready": True, "books": {"state": "differ"}}, "books differ"),
        (200, {"ready": True, "books": {"state": "agree"}}, "ready"),
    ],
)
def test_readiness(status: int, document: dict[str, Any], verdict: str) -> None:
    """The probe reads the status, the verdict and the books."""
    assert watch._verdict(httpx.Response(status, json=document)) == verdict


async def test_what_was_served_unpaid(practice_facilitator: str, own_database: str) -> None:
    """A paid execution whose money never moved is found, and one that is queued before it is paid."""
    async with db.pool() as pool:
        sold, owner = await orders.version(pool), await orders.hire(pool)
        assert await watch.served_unpaid(pool) == []
        await orders.pay(pool, sold, owner)
        assert len(await watch.served_unpaid(pool)) == 1
        async with pool.connection() as conn:
            await ledger.claim(conn, [ledger.ClaimRequest(orders.terms(sold), sold, TOPIC, owner)])
            assert len(await watch.served_unpaid(pool)) == 1
        await shops.rows(pool, "UPDATE executions SET state = 'queued' WHERE state = 'held' RETURNING id")
        assert len(await watch.served_unpaid(pool)) == 2
