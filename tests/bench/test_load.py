"""The conclusions of the load benchmark from given cells; measuring the cells is not tested."""

import asyncio
from typing import Any

from bench.load_arrivals import arrive, schedule
from bench.load_cells import Cell, Latency
from bench.load_plan import parser, plan
from bench.load_verdict import judge


def cell(**changes: Any) -> Cell:
    """A good result of our launcher at 100/s."""
    good = {
        "level": "launcher",
        "contestant": "here",
        "upstream": "300ms",
        "rate": 100,
        "seconds": 60,
        "arrivals": 6000,
        "answered": 6000,
        "added": Latency(300, 700, 900),
        "per_second": 99.0,
    }
    return Cell(**good | changes)


def verdicts(*cells: Cell) -> dict[str, bool | None]:
    return {one.name.split(":")[0]: one.ok for one in judge(cells)}


def test_targets_are_held_or_missed() -> None:
    """A slow result misses its target, and so does a single failure; a target that was not measured is neither."""
    name = "launcher alone, 100/s"

    assert verdicts(cell())[name] is True
    assert verdicts(cell(added=Latency(300, 801, 900)))[name] is False
    assert verdicts(cell(answered=5999))[name] is False
    assert verdicts(cell(rate=50))[name] is None


def test_what_is_held_counts_only_without_failures() -> None:
    """Ten times the throughput of one run per call, for which every rate it reached counts."""
    name, others = "answers held / one run per call", cell(contestant="one", answered=80, per_second=9.9)

    assert verdicts(others, cell())[name] is True
    assert verdicts(others, cell(answered=5999))[name] is None
    assert verdicts(others, cell(per_second=98.0))[name] is False


def test_a_paid_call_is_judged_from_queued_to_begun() -> None:
    """A paid call has the launcher's bound too; the rest of the buyer's wait is reported without a bound."""
    name, told = "paid, 50/s", "paid, 50/s, all that is not the provider's, buyers' view"

    held = verdicts(cell(level="paid", rate=50, added=Latency(400, 900, 999), whole=Latency(2000, 3000, 4000)))
    assert (held[name], held[told]) == (True, None)
    assert verdicts(cell(level="paid", rate=50, added=Latency(401, 900, 999)))[name] is False


def test_everybody_has_the_same_arrivals() -> None:
    """About as many as requested, at the same irregular times for every contestant."""
    times = schedule(50, 20)

    assert times == schedule(50, 20)
    assert 900 < len(times) < 1100
    assert times == sorted(times)


async def test_nobody_waits_for_those_before() -> None:
    """An arrival may wait for one that comes later."""
    later, come = asyncio.Event(), list[int]()

    async def arrival(number: int) -> None:
        if number == 0:
            await later.wait()
        come.append(number)
        later.set()

    punctuality = await arrive([0.0, 0.0], arrival)

    assert come == [1, 0]
    assert len(punctuality.late) == 2


def test_rates_alone_are_the_short_run() -> None:
    """With --rates only our own launcher is measured, unless others are named."""
    short = plan(parser().parse_args(["--level", "launcher", "--rates", "5,20", "--seconds", "15"]))
    named = plan(parser().parse_args(["--level", "launcher", "--rates", "5", "--launch", "here,one"]))

    assert [(part.contestant, part.loads) for part in short] == [("here", [(5.0, 15.0), (20.0, 15.0)])]
    assert [part.contestant for part in named] == ["here", "one"]
