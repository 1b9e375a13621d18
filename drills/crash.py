"""Kill the door at every boundary of the paid path, and present the identical payment again.

Each scenario runs once undisturbed, which finds its boundaries; then once for each side of every boundary that no
earlier scenario had. After every kill, one payment must have bought one execution and one transfer.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from core import db
from drills import books, doors
from drills.boundary import Boundary, Side
from drills.pace import MACHINE
from drills.surroundings import Surroundings, database, pool
from tests import servers, shops
from tests.shops import Buyer, Shop

_LANES = 4
_TRIES = 3
_INPUTS = {"topic": "the sea"}
_SILENCE_SECONDS = 8
_REST_SECONDS = 30
_NEVER = "3600"


@dataclass(frozen=True)
class Scenario:
    """One course of a sale.

    Attributes:
        title: for people.
        facilitator: the fault of the settlement.
        provider: the fault of the call.
        recovery_seconds: for the killed door; a scenario without recovery on its path keeps it out.
        may_refuse: whether 402 is a correct answer, because nothing was settled.
    """

    title: str
    facilitator: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    recovery_seconds: str = _NEVER
    may_refuse: bool = False


SCENARIOS = (
    Scenario("A sale"),
    Scenario("A sale whose settlement's answer was lost", facilitator=("lose_reply",), recovery_seconds="0.5"),
    Scenario(
        "A settlement that was refused, and the same payment again",
        facilitator=("refuse:insufficient_funds",),
        may_refuse=True,
    ),
    Scenario("A call that was sent again", provider=("status:503",)),
    Scenario("A call that failed", provider=("status:400",)),
)


@dataclass(frozen=True)
class Lane:
    """A database and a port of its own, so that no other launcher takes over."""

    url: str
    pool: db.Pool
    port: int
    folder: Path


@dataclass(frozen=True)
class Case:
    """A scenario and where to kill; `victim` None is the undisturbed run, `position` its place in the table."""

    scenario: Scenario
    victim: tuple[Boundary, Side] | None
    position: int = 0


@dataclass(frozen=True)
class Outcome:
    """The result of a case, as in the table.

    Attributes:
        case: the case.
        reached: whether the door died at the boundary.
        passed: the boundaries that were passed.
        first: the status of the first request.
        later: the status of the same payment after the restart.
        sale: payment history, sends, transfers and final state.
        wrong: broken invariants.
    """

    case: Case
    reached: bool
    passed: list[Boundary]
    first: str
    later: str
    sale: str
    wrong: list[str]


async def drill(around: Surroundings, seed: int) -> tuple[dict[str, object], list[Outcome]]:
    """Run the drill; return the counts, and the outcomes in the order of the table."""
    async with AsyncExitStack() as stack:
        lanes = [await stack.enter_async_context(_lane(around)) for _ in range(_LANES)]
        calm = await _all(lanes, [Case(scenario, None) for scenario in SCENARIOS])
        cases = list(_cases(sorted(calm, key=_position)))
        random.Random(seed).shuffle(cases)  # noqa: S311 - to be repeatable, not secret
        outcomes = calm + await _all(lanes, cases)
        differences = [found for lane in lanes for found in await books.check(lane.pool)]
    outcomes.sort(key=_position)
    wrong = [f"{_name(outcome.case)}: {broken}" for outcome in outcomes for broken in outcome.wrong]
    counts: dict[str, object] = {
        "boundaries": len({case.victim[0] for case in cases if case.victim}),
        "kills": len(cases),
        "reached": sum(outcome.reached for outcome in outcomes if outcome.case.victim),
        "wrong": wrong + differences,
    }
    return counts, outcomes


@asynccontextmanager
async def _lane(around: Surroundings) -> AsyncIterator[Lane]:
    with database(around) as url:
        async with pool(url) as opened:
            yield Lane(url, opened, servers.free_port(), around.folder)


def _position(outcome: Outcome) -> tuple[int, int]:
    return SCENARIOS.index(outcome.case.scenario), outcome.case.position


def _cases(calm: Iterable[Outcome]) -> Iterable[Case]:
    known: set[Boundary] = set()
    for outcome in calm:
        new = [boundary for boundary in outcome.passed if boundary not in known]
        known |= set(new)
        sides: tuple[Side, Side] = ("before", "after")
        victims = [(boundary, side) for boundary in new for side in sides]
        yield from (Case(outcome.case.scenario, victim, place) for place, victim in enumerate(victims, 1))


async def _all(lanes: list[Lane], cases: Iterable[Case]) -> list[Outcome]:
    waiting = list(cases)
    outcomes: list[Outcome] = []

    async def work(lane: Lane) -> None:
        while waiting:
            outcomes.append(await _try(lane, waiting.pop()))

    await asyncio.gather(*map(work, lanes))
    return outcomes


async def _try(lane: Lane, case: Case) -> Outcome:
    """Run a case, with a second try if its boundary was not reached: timers decide which of two reads comes first."""
    for _ in range(_TRIES):
        outcome = await _run(lane, case)
        if outcome.reached or outcome.wrong:
            return outcome
    return replace(outcome, wrong=["was not reached"])


async def _run(lane: Lane, case: Case) -> Outcome:
    """Run one sale with one kill, one restart, and the same payment again."""
    shop, buyer = await shops.open_shop(lane.pool), await Buyer().fund()
    await buyer.facilitator(*case.scenario.facilitator)
    await shop.openrouter(faults=case.scenario.provider)
    url = f"http://127.0.0.1:{lane.port}{shop.path}"
    calm = {"INSTANT_DATABASE_URL": lane.url}
    async with httpx.AsyncClient(timeout=60) as http:
        doomed = calm | {"INSTANT_RECOVERY_SECONDS": case.scenario.recovery_seconds}
        async with doors.watched(lane.port, lane.folder, doomed, case.victim) as door:
            header = await buyer.pay(url, _INPUTS)
            door.arm()
            first = await _present(http, url, header)
            wrong = await _lies(first, case.scenario, shop)
            reached = await _settled(door, case)
            passed = door.passed()
        async with doors.calm(lane.port, lane.folder, calm):
            later: list[httpx.Response] = []
            while len(later) < _TRIES and (not later or later[-1].status_code in (202, 402)):
                later.append(await http.post(url, json=_INPUTS, headers=_paid(header)))
                wrong += await _lies(later[-1], case.scenario, shop)
            with suppress(TimeoutError):  # the books then show what is unfinished
                await shops.at_rest(lane.pool, shop, seconds=_REST_SECONDS * MACHINE.slowness())
            replay = await http.post(url, json=_INPUTS, headers=_paid(header))
            if (replay.status_code, replay.text) != (later[-1].status_code, later[-1].text):
                wrong.append("the same payment got another answer")
    books_now = await books.read(lane.pool, [shop])
    wrong += books.differences(books_now)
    told_later = ", ".join(str(answer.status_code) for answer in later)
    return Outcome(case, reached, passed, _status(first), told_later, _sale(books_now), wrong)


async def _present(http: httpx.AsyncClient, url: str, header: str) -> httpx.Response | None:
    try:
        return await http.post(url, json=_INPUTS, headers=_paid(header))
    except httpx.TransportError:
        return None


async def _settled(door: doors.Watched, case: Case) -> bool:
    """Wait until the door is dead, or until an undisturbed one has finished all work after the answer."""
    if case.victim:
        return await door.ended(_SILENCE_SECONDS * MACHINE.slowness())
    await asyncio.sleep(_SILENCE_SECONDS / 4 * MACHINE.slowness())
    return True


async def _lies(answer: httpx.Response | None, scenario: Scenario, shop: Shop) -> list[str]:
    """List false answers: 402 says that no money moved, 200 and 502 that it did."""
    if answer is None:
        return []
    received = len(await shop.received())
    rules = {
        "402 without a refusal": answer.status_code != 402 or scenario.may_refuse,
        "402 after a transfer": answer.status_code != 402 or received == 0,
        "an answer without a transfer": answer.status_code not in (200, 502) or received == 1,
        f"status {answer.status_code}": answer.status_code in (200, 202, 402, 502),
    }
    return [broken for broken, is_kept in rules.items() if not is_kept]


def table(outcomes: list[Outcome]) -> str:
    """Build the table of boundaries and outcomes, as Markdown."""
    lines = [_PREFACE]
    for scenario in SCENARIOS:
        lines += [f"\n## {scenario.title}\n", _HEAD]
        lines += [_row(outcome) for outcome in outcomes if outcome.case.scenario == scenario]
    return "\n".join(lines) + "\n"


def _row(outcome: Outcome) -> str:
    if outcome.case.victim is None:
        where = "nowhere |"
    else:
        boundary, side = outcome.case.victim
        again = f" ({boundary.occurrence})" if boundary.occurrence > 1 else ""
        where = f"{side} | `{boundary.place}` {boundary.what}{again}"
    return f"| {where} | {outcome.first} | {outcome.later} | {outcome.sale} | {'; '.join(outcome.wrong) or 'hold'} |"


def _sale(now: books.Books) -> str:
    (sale,) = now.sales
    history = " → ".join(sale.history)
    rest = f"{sale.state}, free re-run" if sale.state == "failed" and sale.has_rerun else sale.state
    return f"{history} | {len(now.transfers)} | {sale.attempts} | {now.sends.total()} | {rest}"


def _name(case: Case) -> str:
    return f"{case.scenario.title}, {case.victim}"


def _paid(header: str) -> dict[str, str]:
    return {"PAYMENT-SIGNATURE": header, "Prefer": "wait=30"}


def _status(answer: httpx.Response | None) -> str:
    return "nothing" if answer is None else str(answer.status_code)


_PREFACE = """# What a crash does to a sale

`make drill NAME=crash TABLE=docs/crash.md` makes this page. It kills the door (SIGKILL) before and after every commit,
read and outside call between the paid request and the end of its flow run. After each kill the door is started again
and the buyer presents the identical payment, like a client whose connection broke. A scenario lists only the boundaries
that earlier ones do not have; "nowhere" is the undisturbed run.

*First* is the status of the first request, *later* that of the same payment after the restart.
*Hold* means that invariants 1 to 4 and 11 of docs/design.md hold at the end: one payment, one execution, one transfer;
never a 402 for money that moved; one terminal state and one usage row; no more sends than allowed (two in a round), and
none without a durable mark; and the ledger, the usage log and the facilitator's own book agree."""

_HEAD = """| killed | at | first | later | payment | transfers | attempts | sends | execution | invariants |
|---|---|---|---|---|---|---|---|---|---|"""
