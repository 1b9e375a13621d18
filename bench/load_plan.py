"""Plan the cells and their durations, for a run of less than twenty minutes."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from bench.load_stage import LAUNCHERS
from bench.load_upstream import FAST, SLOW, Upstream
from core.settings import Settings

LEVELS = ("launcher", "paid", "unpaid", "door", "offers")
UPSTREAMS = {one.name: one for one in (FAST, SLOW)}

Load = tuple[float, float]
"""Arrivals per second, and for how many seconds."""

CROWDS = {10: 200, 30: 600, 100: 1000, 400: 2000}
"""The number of concurrent buyers, each with the next call as soon as the last is answered, and of their calls."""

LIFETIME = 10_000
"""The calls after which the memory of door and executor is measured."""

_DOOR_BUYERS = 100
_HISTORY_LOADS: list[Load] = [(50, 20)]
_SHORT = 10

_EVERYTHING: dict[tuple[str, str], dict[str, list[Load]]] = {
    ("launcher", FAST.name): {
        "here": [(1, 20), (5, 15), (20, 15), (50, 15), (100, 20), (200, 8)],
        "executor": [(5, 15), (50, 15), (100, 15)],
        "one": [(1, 12), (5, 12), (20, 8)],
        "pool": [(0.2, 20)],
    },
    ("launcher", SLOW.name): {"here": [(5, 10), (50, 15)], "one": [(1, 8)]},
    ("paid", FAST.name): {"here": [(5, 10), (50, 20)], "executor": [(50, 20)]},
    ("paid", SLOW.name): {"here": [(20, 10)]},
    ("unpaid", FAST.name): {
        "forwarder": [(5, 10), (50, 10), (100, 8), (200, 8)],
        "litellm": [(5, 10), (20, 10), (50, 20), (100, 8)],
    },
    ("unpaid", SLOW.name): {"forwarder": [(20, 10)], "litellm": [(20, 10)]},
    ("door", FAST.name): {"door": []},
    ("offers", FAST.name): {"offers": []},
}


@dataclass(frozen=True)
class Part:
    """One contestant's loads at one level, with one provider latency.

    Attributes:
        loads: independent arrivals.
        crowds: closed loops, as in `CROWDS`.
        lifetime: calls of the process, after which its memory is measured; 0: it is not.
        past: executions that the database already holds.
    """

    level: str
    upstream: Upstream
    contestant: str
    loads: list[Load]
    crowds: dict[int, int] = field(default_factory=dict)
    lifetime: int = 0
    past: int = 0


def parser() -> argparse.ArgumentParser:
    """Build the command line. Without --rates: the whole plan, minus what is left out."""
    made = argparse.ArgumentParser(prog="python -m bench load")
    made.add_argument("--level", type=_words, default=list(LEVELS), help=",".join(LEVELS))
    made.add_argument("--launch", type=_words, help=f"who launches: {','.join(LAUNCHERS)}")
    made.add_argument("--rates", type=_numbers, help="arrivals a second")
    made.add_argument("--seconds", type=float, help="how long they come")
    made.add_argument("--upstream", type=_words, help=",".join(UPSTREAMS))
    made.add_argument("--patience", type=float, default=20, help="seconds that are waited after the last arrival")
    made.add_argument("--buyers", type=_numbers, help=f"concurrent buyers: {','.join(map(str, CROWDS))}, or 0 for none")
    made.add_argument("--short", action="store_true", help="a tenth of everything, to see that it works")
    made.add_argument("--past", type=_numbers, help="only the growth curve: past executions, such as 0,1e6,1e7")
    made.add_argument("--picture", default="load.png", help="where to draw the curves")
    return made


def plan(wanted: argparse.Namespace) -> list[Part]:
    """Choose what to run: the whole plan, or with --rates only these, with our own launcher only."""
    if wanted.past is not None:
        return _growth(wanted)
    upstreams = wanted.upstream or ([FAST.name] if wanted.rates else list(UPSTREAMS))
    launchers = wanted.launch or (["here"] if wanted.rates else list(LAUNCHERS))
    parts = []
    for (level, upstream), planned in _EVERYTHING.items():
        if level not in wanted.level or upstream not in upstreams:
            continue
        names = list(dict.fromkeys([*planned, *(launchers if level == "launcher" else ())]))
        for name in names:
            if name in LAUNCHERS and (name not in launchers or not _exists(name)):
                continue
            loads = planned.get(name, [])
            if wanted.rates and planned.get(name) != []:
                loads = [(rate, wanted.seconds or 15) for rate in wanted.rates]
            elif wanted.seconds:
                loads = [(rate, wanted.seconds) for rate, _ in loads]
            if loads or planned.get(name) == []:
                parts.append(_part(wanted, level, UPSTREAMS[upstream], name, loads))
    return parts


def _part(wanted: argparse.Namespace, level: str, upstream: Upstream, name: str, loads: list[Load]) -> Part:
    crowds = {}
    if level == "door":
        crowds = {_DOOR_BUYERS: CROWDS[_DOOR_BUYERS]}
    elif level in ("paid", "unpaid") and upstream == FAST:
        buyers = wanted.buyers or ([] if wanted.rates else list(CROWDS))
        crowds = {int(number): CROWDS[int(number)] for number in buyers if number}
    lifetime = LIFETIME if level == "paid" and crowds and not wanted.buyers else 0
    if wanted.short:
        loads = [(rate, seconds / _SHORT) for rate, seconds in loads]
        crowds = {buyers: max(buyers, calls // _SHORT) for buyers, calls in crowds.items()}
        lifetime //= _SHORT
    return Part(level, upstream, name, loads, crowds, lifetime)


def _growth(wanted: argparse.Namespace) -> list[Part]:
    """Our door under the same load, with ever more past executions in its database."""
    name = (wanted.launch or ["here"])[0]
    return [
        replace(
            _part(wanted, "paid", FAST, name, _HISTORY_LOADS), crowds={100: CROWDS[100]}, lifetime=0, past=int(past)
        )
        for past in sorted(wanted.past)
    ]


def _exists(launcher: str) -> bool:
    """Whether this version of the product has such a process."""
    return launcher != "executor" or "executor" in get_args(Settings.model_fields["launch"].annotation)


def _words(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[float]:
    return [float(one) for one in text.split(",")]


def seconds(parts: Sequence[Part]) -> float:
    """Estimate the duration of all parts."""
    each = {"launcher": 20.0, "paid": 20.0, "unpaid": 15.0, "door": 15.0, "offers": 150.0}
    return 20 + sum(
        each[part.level]
        + sum(5 + part.upstream.slowest + long for _, long in part.loads)
        + sum(5 + calls / 40 for calls in part.crowds.values())
        + max(0, part.lifetime - sum(part.crowds.values())) / 40
        + part.past / 30_000
        for part in parts
    )
