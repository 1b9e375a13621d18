"""Draw the chart of calls and money. All use of matplotlib is here. Floats are for pixels only.

The import of matplotlib waits until something is drawn: it is large and slow to load, and most processes never draw.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from io import BytesIO
from typing import TYPE_CHECKING

from core.reporting.report import Figures
from core.reporting.rollup import midnight

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ANSWERED, _DECLINED, _FAILED = "#2f9e6e", "#c3c8cf", "#d64550"
_REVENUE, _COST, _INK, _GRID = "#3b6fd4", "#f0a33c", "#333a45", "#e6e9ee"
_INCHES, _DPI = (9.6, 5.2), 110


def draw(hours: Sequence[tuple[datetime, Figures | None]], days: Sequence[tuple[date, Figures | None]]) -> bytes:
    """Draw calls by the hour, and revenue and cost by the day, as PNG.

    Args:
        hours: each hour (UTC) in turn with its figures, None if nothing was sold.
        days: each day (UTC) in turn with its figures, likewise.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=_INCHES, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1), facecolor="white")
    above, below = figure.subplots(2, 1)
    _draw_calls(above, hours)
    _draw_money(below, days)
    for axes in (above, below):
        _tidy(axes)
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI)
    return picture.getvalue()


def _draw_calls(axes: "Axes", hours: Sequence[tuple[datetime, Figures | None]]) -> None:
    positions = [_position(hour) + 0.5 / 24 for hour, _ in hours]
    below = [0] * len(hours)
    for name, colour in (("succeeded", _ANSWERED), ("declined", _DECLINED), ("failed", _FAILED)):
        counts = [getattr(figures, name) if figures else 0 for _, figures in hours]
        label = "answered" if name == "succeeded" else name
        axes.bar(positions, counts, bottom=below, width=1 / 24 * 0.8, color=colour, label=f"{label} {sum(counts):,}")
        below = [bottom + count for bottom, count in zip(below, counts, strict=True)]
    axes.set_title("Calls by the hour (UTC)", loc="left", fontsize=10, color=_INK)
    axes.set_xlim(positions[0] - 0.5 / 24, positions[-1] + 0.5 / 24)
    axes.set_ylim(0, max(*below, 1) * 1.08)
    axes.locator_params("y", nbins=5, integer=True)


def _draw_money(axes: "Axes", days: Sequence[tuple[date, Figures | None]]) -> None:
    positions = [_position(midnight(day)) + 0.5 for day, _ in days]
    revenue = [figures.revenue_atomic / 1_000_000 if figures else 0.0 for _, figures in days]
    cost = [float(figures.cost_usd) if figures else 0.0 for _, figures in days]
    axes.bar([day - 0.2 for day in positions], revenue, width=0.4, color=_REVENUE, label="revenue")
    axes.bar([day + 0.2 for day in positions], cost, width=0.4, color=_COST, label="cost of models")
    axes.set_title("Money by the day (UTC)", loc="left", fontsize=10, color=_INK)
    axes.set_xlim(positions[0] - 0.5, positions[-1] + 0.5)
    axes.set_ylim(0, (max([*revenue, *cost]) or 1) * 1.08)
    axes.locator_params("y", nbins=5)
    axes.yaxis.set_major_formatter(lambda amount, _: f"${amount:,.6f}".rstrip("0").rstrip("."))


def _position(moment: datetime) -> float:
    """Convert a time to matplotlib's dates: days since 1970."""
    return moment.timestamp() / 86_400


def _tidy(axes: "Axes") -> None:
    from matplotlib.dates import ConciseDateFormatter

    axes.xaxis_date(UTC)
    dates = ConciseDateFormatter(axes.xaxis.get_major_locator(), UTC, show_offset=False)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(dates)
    axes.grid(axis="y", color=_GRID)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, labelsize=9, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=9, labelcolor=_INK)
