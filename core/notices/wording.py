"""Word what notices have in common: amounts, shares, causes of failures, and providers."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from core.executions import advice
from core.providers import registry as providers
from core.providers.registry import OPENROUTER, Provider

Facts = Mapping[str, Any]
"""What a rule found, as its SQL wrote it into jsonb; each writer reads what its own rule writes."""


def provider_of(facts: Facts) -> Provider:
    """Find the key's provider; notices from before there were several name none."""
    return providers.find(facts.get("provider", OPENROUTER.name))


def often(facts: Facts) -> str:
    """List the commonest causes with advice, each in a line; empty if there are none."""
    causes: Sequence[Facts] = facts["causes"]
    served_by = [name for name in (facts.get("provider"), facts.get("served_by")) if name]
    lines = [
        f"\n- {cause['detail']}, {cause['calls']} {'time' if cause['calls'] == 1 else 'times'}: "
        f"{advice.advice_for(cause['detail'], cause['fault'], served_by)}"
        for cause in causes
    ]
    return "\nMost often:" + "".join(lines) if lines else ""


def share(part: int, total: int) -> str:
    """Format a share in whole percent, rounded down."""
    return f"{100 * part // total} %"


def money(text: str) -> str:
    """Format US dollars to the millionth."""
    amount = Decimal(text).quantize(Decimal("0.000001")).normalize()
    return f"{'-' * (amount < 0)}${abs(amount):f}"
