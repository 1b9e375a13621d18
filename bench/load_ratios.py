"""Judge what only ratios can say: our paid path beside LiteLLM's proxy and x402's middleware, and beside its own past.

A ratio that shall be large has a floor, one that shall be small a ceiling. Both parties are measured in the same run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.load_cells import Cell

_OURS = {"here": "one process", "executor": "with an executor"}
_JUDGED_CROWDS = {100, 400}
_RATE = 50
_MOST_GROWTH = 1.1
_MOST_MIB = 180
_OFFERS = {"alone": ("offers a second, one buyer alone", 0.8), "payments": ("settled payments a second", 1.6)}


@dataclass(frozen=True)
class Judgement:
    """One target.

    Attributes:
        name: the target.
        figures: the measurements.
        ok: whether it is met; None if it was not measured.
    """

    name: str
    figures: str
    ok: bool | None


def judge(cells: Sequence[Cell], offers: Mapping[str, float] | None = None) -> list[Judgement]:
    """Judge the ratios.

    Args:
        cells: the results with the fast provider.
        offers: the ratios of `make bench NAME=door`, if it was run too.
    """
    first = [cell for cell in cells if not cell.past]
    return [
        *_crowds(first),
        _door(first),
        *(_cpu(first, contestant) for contestant in _OURS),
        *(_wait(first, contestant) for contestant in _OURS),
        *_middleware(offers),
        _memory(cells),
        *_growth(cells),
    ]


def _crowds(cells: Sequence[Cell]) -> Iterator[Judgement]:
    """The throughput of closed loops, a line for each number of buyers."""
    for buyers in sorted({cell.buyers for cell in cells if cell.level == "unpaid" and cell.buyers} | _JUDGED_CROWDS):
        for contestant, told in _OURS.items():
            name = f"paid / LiteLLM unpaid, {buyers} buyers, {told}"
            ours, theirs = _crowd(cells, "paid", contestant, buyers), _crowd(cells, "unpaid", "litellm", buyers)
            judged = at_least(name, _speed(ours), _speed(theirs), 1.3)
            yield judged if buyers in _JUDGED_CROWDS else Judgement(name, judged.figures, None)


def _door(cells: Sequence[Cell]) -> Judgement:
    ours = next((cell for cell in cells if cell.level == "door"), None)
    theirs = _crowd(cells, "unpaid", "litellm", ours.buyers if ours else 0)
    return at_least("door and ledger / LiteLLM unpaid", _speed(ours), _speed(theirs), 2)


def _cpu(cells: Sequence[Cell], contestant: str) -> Judgement:
    """CPU of our processes, Prefect's server and Postgres together, beside the proxy's one process."""
    ours, theirs = _arriving(cells, "paid", contestant), _arriving(cells, "unpaid", "litellm")
    name = f"CPU per paid call at {_RATE}/s / LiteLLM, {_OURS[contestant]}"
    return _at_most(name, _cost(ours), theirs.cpu_ms.get("ours") if theirs else None, 1.1, "ms")


def _wait(cells: Sequence[Cell], contestant: str) -> Judgement:
    """What a buyer waits for beside the provider: p50 and p95, each to that of the proxy."""
    name = f"a buyer's wait at {_RATE}/s / LiteLLM, {_OURS[contestant]}: at most 10x"
    ours, theirs = _arriving(cells, "paid", contestant), _arriving(cells, "unpaid", "litellm")
    if not (ours and ours.whole and theirs and theirs.whole):
        return Judgement(name, "not run", None)
    # The proxy's own share can be less than the clocks can tell.
    ratios = [
        mine / max(other, 1.0)
        for mine, other in ((ours.whole.p50, theirs.whole.p50), (ours.whole.p95, theirs.whole.p95))
    ]
    figures = f"{ratios[0]:.1f}x / {ratios[1]:.1f}x (p50/p95/p99 {ours.whole} to {theirs.whole} ms)"
    return Judgement(name, figures, max(ratios) <= 10)


def _middleware(offers: Mapping[str, float] | None) -> Iterator[Judgement]:
    for key, (told, least) in _OFFERS.items():
        name = f"{told} / x402's middleware: {least:g}x"
        if offers is None:
            yield Judgement(name, "not run", None)
        else:
            yield Judgement(name, f"{offers[key]:.2f}x", offers[key] >= least)


def _memory(cells: Sequence[Cell]) -> Judgement:
    name = f"memory of door and executor after a long life: at most {_MOST_MIB} MiB each"
    measured = [cell for cell in cells if cell.memory_mib]
    if not measured:
        return Judgement(name, "not run", None)
    told = (
        f"{cell.contestant}: {' and '.join(f'{value:.0f} MiB' for value in cell.memory_mib.values())}"
        for cell in measured
    )
    most = max(value for cell in measured for value in cell.memory_mib.values())
    return Judgement(name, "; ".join(told), most <= _MOST_MIB)


def _growth(cells: Sequence[Cell]) -> Iterator[Judgement]:
    """The CPU of a call with many past executions in the database, beside the same with the fewest."""
    for load in ("rate", "buyers"):
        found = [cell for cell in cells if cell.level == "paid" and getattr(cell, load)]
        for cell in (cell for cell in found if cell.past):
            base = next((one for one in found if not one.past and getattr(one, load) == getattr(cell, load)), None)
            name = f"CPU per paid call after {cell.past:,} / before, {cell.rate:g}/s, {cell.buyers} buyers"
            yield _at_most(name, _cost(cell), _cost(base), _MOST_GROWTH, "ms")


def at_least(name: str, ours: float | None, theirs: float | None, least: float) -> Judgement:
    """Require a ratio of two throughputs."""
    return _ratio(f"{name}: {least:g}x", ours, theirs, "a second", lambda ratio: ratio >= least)


def _at_most(name: str, ours: float | None, theirs: float | None, most: float, unit: str) -> Judgement:
    return _ratio(f"{name}: at most {most:g}x", ours, theirs, unit, lambda ratio: ratio <= most)


def _ratio(
    name: str, ours: float | None, theirs: float | None, unit: str, is_enough: Callable[[float], bool]
) -> Judgement:
    if ours is None or not theirs:
        return Judgement(name, "not run", None)
    return Judgement(name, f"{ours / theirs:.2f}x ({ours:.1f} / {theirs:.1f} {unit})", is_enough(ours / theirs))


def _speed(cell: Cell | None) -> float | None:
    return None if cell is None else cell.per_second


def _cost(cell: Cell | None) -> float | None:
    return None if cell is None else cell.cpu_of_everything


def _crowd(cells: Sequence[Cell], level: str, contestant: str, buyers: int) -> Cell | None:
    return next((c for c in cells if (c.level, c.contestant, c.buyers) == (level, contestant, buyers)), None)


def _arriving(cells: Sequence[Cell], level: str, contestant: str) -> Cell | None:
    return next((c for c in cells if (c.level, c.contestant, c.rate) == (level, contestant, _RATE)), None)
