"""Plan the cells and their durations, for a run of about a quarter of an hour."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from bench.load_stage import LAUNCHERS
from bench.load_upstream import FAST, SLOW, Upstream
from core.settings import Settings

LEVELS = ("launcher", "paid", "unpaid", "door")
UPSTREAMS = {one.name: one for one in (FAST, SLOW)}

Load = tuple[float, float]
"""Arrivals per second, and for how many seconds."""

_EVERYTHING: dict[tuple[str, str], dict[str, list[Load]]] = {
    ("launcher", FAST.name): {
        "here": [(1, 20), (5, 15), (20, 15), (50, 15), (100, 60), (200, 8)],
        "executor": [(5, 15), (50, 15), (100, 15)],
        "one": [(1, 12), (5, 12), (20, 8)],
        "pool": [(0.2, 20)],
    },
    ("launcher", SLOW.name): {"here": [(5, 10), (50, 15)], "one": [(1, 8)]},
    ("paid", FAST.name): {"here": [(5, 10), (50, 60)], "executor": [(50, 15)]},
    ("paid", SLOW.name): {"here": [(20, 10)]},
    ("unpaid", FAST.name): {
        "forwarder": [(5, 10), (50, 10), (100, 8), (200, 8)],
        "litellm": [(5, 10), (20, 10), (50, 10), (100, 8)],
    },
    ("unpaid", SLOW.name): {"forwarder": [(20, 10)], "litellm": [(20, 10)]},
    ("door", FAST.name): {"door": []},
}


@dataclass(frozen=True)
class Part:
    """One contestant's loads at one level, with one provider latency."""

    level: str
    upstream: Upstream
    contestant: str
    loads: list[Load]


def parser() -> argparse.ArgumentParser:
    """Build the command line. Without --rates: the whole plan, minus what is left out."""
    made = argparse.ArgumentParser(prog="python -m bench load")
    made.add_argument("--level", type=_words, default=list(LEVELS), help=",".join(LEVELS))
    made.add_argument("--launch", type=_words, help=f"who launches: {','.join(LAUNCHERS)}")
    made.add_argument("--rates", type=_numbers, help="arrivals a second")
    made.add_argument("--seconds", type=float, help="how long they come")
    made.add_argument("--upstream", type=_words, help=",".join(UPSTREAMS))
    made.add_argument("--patience", type=float, default=20, help="seconds that are waited after the last arrival")
    made.add_argument("--picture", default="load.png", help="where to draw the curves")
    return made


def plan(wanted: argparse.Namespace) -> list[Part]:
    """Choose what to run: the whole plan, or with --rates only these, with our own launcher only."""
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
            if wanted.rates and level != "door":
                loads = [(rate, wanted.seconds or 15) for rate in wanted.rates]
            elif wanted.seconds:
                loads = [(rate, wanted.seconds) for rate, _ in loads]
            if loads or level == "door":
                parts.append(Part(level, UPSTREAMS[upstream], name, loads))
    return parts


def _exists(launcher: str) -> bool:
    """Whether this version of the product has such a process."""
    return launcher != "executor" or "executor" in get_args(Settings.model_fields["launch"].annotation)


def _words(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[float]:
    return [float(one) for one in text.split(",")]


def seconds(parts: Sequence[Part]) -> float:
    """Estimate the duration of all parts."""
    each = {"launcher": 20.0, "paid": 75.0, "unpaid": 50.0, "door": 25.0}
    return 20 + sum(
        each[part.level] + sum(5 + part.upstream.slowest + long for _, long in part.loads) for part in parts
    )
