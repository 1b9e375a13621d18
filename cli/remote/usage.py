"""Ask a door for a usage report."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pydantic.alias_generators import to_camel

from cli.remote import door
from core.reporting.report import Cause, Figures, Report

_ATOMIC = {"revenue_atomic": "revenueUsdc", "refunded_atomic": "refundedUsdc", "due_atomic": "dueUsdc"}
_DECIMAL = ("cost_usd", "estimated_cost_usd", "margin_usd")


def report(*, by: str, since: date | None, until: date | None, kind: str | None) -> Report:
    """Read a report of all that the creator sold."""
    told = door.ask("GET", "/me/usage", params={"by": by, "since": since, "until": until, "kind": kind}).json()
    return Report(
        date.fromisoformat(told["since"]),
        date.fromisoformat(told["until"]),
        datetime.fromisoformat(told["completeUntil"]),
        told["inProgress"],
        [_figures(row) for row in told["rows"]],
        told["total"] and _figures(told["total"]),
        [Cause(**cause) for cause in told["causes"]],
    )


def _figures(row: Mapping[str, Any]) -> Figures:
    values: dict[str, Any] = {}
    for name in (field.name for field in fields(Figures)):
        if name in _ATOMIC:
            values[name] = int(Decimal(row[_ATOMIC[name]]).scaleb(6))
        else:
            value = row[to_camel(name)]
            values[name] = Decimal(value) if name in _DECIMAL and value is not None else value
    return Figures(**values)
