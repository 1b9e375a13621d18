"""Draw the added latency and the throughput by the rate of arrivals."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.load_cells import Cell

_NAMES = {
    ("launcher", "here"): "ours, in the door's process",
    ("launcher", "executor"): "ours, in an executor",
    ("launcher", "one"): "one flow run per call",
    ("launcher", "pool"): "Prefect process pool",
    ("paid", "here"): "ours, paid, whole call",
    ("paid", "executor"): "ours, paid, with an executor",
    ("unpaid", "forwarder"): "FastAPI and SDK, unpaid",
    ("unpaid", "litellm"): "LiteLLM, unpaid",
}
# Okabe and Ito's colours, which colour-blind people can distinguish.
_COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#CC79A7", "#009E73", "#66C2A5", "#999999", "#E69F00")


def draw(cells: Sequence[Cell], upstream: str, conditions: str, path: Path) -> None:
    """Write the chart as a PNG.

    Args:
        cells: the results.
        upstream: draw only cells with this provider latency.
        conditions: one line below the chart.
        path: the file.
    """
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    latency, answers = figure.subplots(1, 2)
    for (key, name), colour in zip(_NAMES.items(), _COLOURS, strict=True):
        found = sorted((c for c in cells if (c.level, c.contestant) == key and c.upstream == upstream), key=_rate)
        found = [cell for cell in found if cell.rate]
        if not found:
            continue
        rates, whole = [cell.rate for cell in found], key[0] != "launcher"
        added = [(cell.whole if whole else cell.added) or cell.added for cell in found]
        latency.plot(rates, [one.p50 for one in added], "o-", color=colour, label=name)
        latency.plot(rates, [one.p95 for one in added], "^:", color=colour)
        answers.plot(rates, [cell.per_second for cell in found], "o-", color=colour, label=name)
    for axes in (latency, answers):
        axes.set(xscale="log", yscale="log", xlabel="arrivals a second")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,g}"))
        axes.grid(alpha=0.3, which="both")
    low, high = answers.get_xlim()
    answers.plot([low, high], [low, high], "--", color="black", linewidth=0.8, label="all of them")
    latency.set(title=f"Added to an upstream of {upstream}", ylabel="milliseconds; line: p50, dotted: p95")
    answers.set(title="Answers", ylabel="answers a second")
    answers.legend(fontsize=8)
    figure.suptitle(conditions, fontsize=8)
    figure.savefig(path, dpi=130)


def _rate(cell: Cell) -> float:
    return cell.rate
