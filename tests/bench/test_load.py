"""The conclusions of the load benchmark from given cells; measuring the cells is not tested."""

import asyncio
from dataclasses import replace
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


def test_the_paid_path_is_judged_beside_the_proxy() -> None:
    """As many buyers, the same rate, the same run: throughput, CPU of everything, wait, and memory."""
    proxy = cell(level="unpaid", contestant="litellm", rate=0, buyers=100, per_second=100.0)
    ours = replace(proxy, level="paid", contestant="here")
    name = "paid / LiteLLM unpaid, 100 buyers, one process"
    assert verdicts(proxy, replace(ours, per_second=130.0))[name] is True
    assert verdicts(proxy, replace(ours, per_second=129.0))[name] is False
    assert verdicts(proxy, replace(ours, per_second=200.0, buyers=400))[name] is None

    proxy = replace(proxy, rate=50, buyers=0, cpu_ms={"ours": 10.0}, whole=Latency(30, 60, 90))
    ours = replace(proxy, level="paid", contestant="here", cpu_ms={"ours": 5.0, "prefect": 4.0, "postgres": 2.0})
    name, wait = (
        "CPU per paid call at 50/s / LiteLLM, one process",
        "a buyer's wait at 50/s / LiteLLM, one process",
    )
    held = verdicts(proxy, replace(ours, whole=Latency(300, 600, 900)))
    assert (held[name], held[wait]) == (True, True)
    missed = verdicts(proxy, replace(ours, cpu_ms={"ours": 11.1}, whole=Latency(300, 601, 900)))
    assert (missed[name], missed[wait]) == (False, False)

    name = "memory of door and executor after a long life"
    assert verdicts(replace(ours, memory_mib={"ours": 180.0}))[name] is True
    assert verdicts(replace(ours, memory_mib={"ours": 100.0, "door": 180.1}))[name] is False


def test_the_past_costs_little() -> None:
    """A call costs at most a tenth more with many past executions in the database than with none."""
    first = cell(level="paid", rate=50, cpu_ms={"ours": 10.0})
    name = "CPU per paid call after 1,000 / before, 50/s, 0 buyers"

    assert verdicts(first, replace(first, past=1000, cpu_ms={"ours": 11.0}))[name] is True
    assert verdicts(first, replace(first, past=1000, cpu_ms={"ours": 11.1}))[name] is False


def test_the_growth_curve_is_a_run_of_its_own() -> None:
    """One contestant, under one load, with ever more past executions."""
    parts = plan(parser().parse_args(["--past", "1e6,0"]))

    assert [(part.level, part.contestant, part.past) for part in parts] == [
        ("paid", "here", 0),
        ("paid", "here", 10**6),
    ]
    assert len({(tuple(part.loads), tuple(part.crowds.items())) for part in parts}) == 1


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
