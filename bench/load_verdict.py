"""Judge the cells: ratios first, then each target, met or not."""

from collections.abc import Mapping, Sequence
from statistics import median

from bench import load_ratios
from bench.load_cells import Cell
from bench.load_ratios import Judgement, at_least
from bench.load_upstream import FAST


def judge(cells: Sequence[Cell], offers: Mapping[str, float] | None = None) -> list[Judgement]:
    """Judge every target, in order of interest.

    Args:
        cells: the results.
        offers: the ratios of `make bench NAME=door`, if it was run too.
    """
    fast = [cell for cell in cells if cell.upstream in (FAST.name, "-")]
    paid = [cell for cell in fast if (cell.level, cell.rate) == ("paid", 50)]
    here = [cell for cell in fast if (cell.level, cell.contestant) == ("launcher", "here")]
    return [
        *load_ratios.judge(fast, offers),
        _within("launcher alone, 1-5/s", [cell for cell in here if cell.rate <= 5], 60, 180),
        _within("launcher alone, 20-50/s", [cell for cell in here if 20 <= cell.rate <= 50], 160, 400),
        _within("launcher alone, 100/s", [cell for cell in here if cell.rate == 100], 400, 800),
        _within("paid, 50/s", paid, 400, 900),
        _whole("paid, 50/s, all that is not the provider's, buyers' view", paid),
        at_least("answers held / one run per call", _held(here), _most(fast, "launcher", "one"), 10),
        _cpu(here),
        _executor(fast, here),
    ]


def _within(name: str, cells: Sequence[Cell], p50: float, p95: float) -> Judgement:
    """Require no failures, and bounds for both percentiles of the added latency from queued to call begun."""
    name = f"{name}: p50/p95 {p50:g}/{p95:g} ms"
    if not cells:
        return Judgement(name, "not run", None)
    told = (
        f"{cell.added.p50:.0f}/{cell.added.p95:.0f} at {cell.rate:g}/s for {cell.seconds:g} s, {cell.failed} failed"
        for cell in cells
    )
    ok = all(not cell.failed and cell.added.p50 <= p50 and cell.added.p95 <= p95 for cell in cells)
    return Judgement(name, "; ".join(told), ok)


def _whole(name: str, cells: Sequence[Cell]) -> Judgement:
    """Show, beside a target, what it leaves out: payment, settlement and the response."""
    told = (f"{cell.whole.p50:.0f}/{cell.whole.p95:.0f} ms at {cell.rate:g}/s" for cell in cells if cell.whole)
    return Judgement(name, "; ".join(told) or "not run", None)


def _cpu(here: Sequence[Cell]) -> Judgement:
    name = "CPU per call at 100/s / at 1/s: 0.2"
    busy = [cell.cpu for cell in here if cell.rate == 100]
    idle = [cell.cpu for cell in here if cell.rate <= 1]
    if not busy or not idle:
        return Judgement(name, "not run", None)
    return Judgement(name, f"{busy[0] / idle[0]:.2f} ({busy[0]:.0f} / {idle[0]:.0f} ms)", busy[0] / idle[0] <= 0.2)


def _executor(fast: Sequence[Cell], here: Sequence[Cell]) -> Judgement:
    name = "added p50, executor / here: 1.3"
    mine = {cell.rate: cell.added.p50 for cell in here}
    theirs = [cell for cell in fast if (cell.level, cell.contestant) == ("launcher", "executor")]
    found = {cell.rate: cell.added.p50 / mine[cell.rate] for cell in theirs if cell.rate in mine}
    if not found:
        return Judgement(name, "not run", None)
    told = ", ".join(f"{ratio:.2f} at {rate:g}/s" for rate, ratio in found.items())
    return Judgement(name, f"{median(found.values()):.2f} ({told})", median(found.values()) <= 1.3)


def _held(cells: Sequence[Cell]) -> float | None:
    """Return the highest rate that was answered without failures."""
    return max((cell.per_second for cell in cells if not cell.failed), default=None)


def _most(cells: Sequence[Cell], level: str, *contestants: str) -> float | None:
    """Return the highest throughput of these contestants."""
    found = (cell.per_second for cell in cells if cell.level == level and cell.contestant in contestants)
    return max(found, default=None)
