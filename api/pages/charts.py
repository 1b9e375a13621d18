"""Draw charts as SVG on the server. Their colours are the stylesheet's, and a table beside them has the numbers."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from markupsafe import Markup

from api.pages.rendering import in_usd

_WIDTH: Final = 720
_HEIGHT: Final = 220
_LEFT: Final = 58
_BOTTOM: Final = 26
_TOP: Final = 12
_STEPS: Final = (Decimal(1), Decimal(2), Decimal(5), Decimal(10))
_LINES: Final = 4
_LABELS: Final = 6


def money_by_day(days: Sequence[tuple[date, Decimal, Decimal]], label: str) -> Markup:
    """Draw revenue and cost of each day as two bars.

    Args:
        days: each day (UTC) in turn, with revenue and cost in US dollars.
        label: what a person who does not see it is told.
    """
    most = max((amount for _, *amounts in days for amount in amounts), default=Decimal(0))
    top, step = _scale(most)
    room = Decimal(_HEIGHT - _TOP - _BOTTOM)
    slot = Decimal(_WIDTH - _LEFT) / max(len(days), 1)
    parts = [_line(_y(step * count, top, room), in_usd(step * count)) for count in range(int(top / step) + 1)]
    every = -(-len(days) // _LABELS) if days else 1
    for place, (day, revenue, cost) in enumerate(days):
        left = _LEFT + slot * place
        parts.append(_bar("revenue", left + slot * Decimal("0.12"), slot * Decimal("0.36"), revenue, top, room))
        parts.append(_bar("cost", left + slot * Decimal("0.52"), slot * Decimal("0.36"), cost, top, room))
        if place % every == 0:
            parts.append(
                Markup('<text class="axis" x="{}" y="{}">{}</text>').format(
                    _text(left), _HEIGHT - 6, f"{day.day} {day:%b}"
                )
            )
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, label, Markup("").join(parts)
    )


def _scale(most: Decimal) -> tuple[Decimal, Decimal]:
    """Return the end of the axis and the step between its lines, both round numbers."""
    if most <= 0:
        return Decimal("0.01"), Decimal("0.01")
    rough = most / _LINES
    unit = Decimal(1).scaleb(rough.adjusted())
    step = next(unit * factor for factor in _STEPS if unit * factor >= rough)
    count = -(-most // step)
    return step * count, step


def _y(amount: Decimal, top: Decimal, room: Decimal) -> Decimal:
    return _TOP + room - room * amount / top


def _line(y: Decimal, label: str) -> Markup:
    return Markup(
        '<line class="grid-line" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        '<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>'
    ).format(_LEFT, _WIDTH, _text(y), _text(y), _LEFT - 8, _text(y + 4), label)


def _bar(name: str, x: Decimal, width: Decimal, amount: Decimal, top: Decimal, room: Decimal) -> Markup:
    y = _y(max(amount, Decimal(0)), top, room)
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="1.5"/>').format(
        name, _text(x), _text(y), _text(width), _text(_TOP + room - y)
    )


def _text(number: Decimal) -> str:
    return f"{number.quantize(Decimal('0.1')):f}"
