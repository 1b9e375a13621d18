"""Read costs and keys from providers' responses. Pure functions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Protocol, TypeVar

from core.providers.openrouter_errors import malformed, mapping, parse

_NAME = re.compile(r"[\x21-\x7e]{1,200}")
_LABEL = re.compile(r"[\x20-\x7e]{1,200}")
_NO_COST_ABOVE = Decimal(100_000)
_COST_DIGITS = 40
_RESETS = ("daily", "weekly", "monthly")


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of one send, as far as the provider reports it.

    Attributes:
        input_tokens: counted by the model's own tokenizer.
        output_tokens: likewise, reasoning included.
        cost_usd: US dollars charged to the creator; None if unknown (never 0 for unknown).
        model_served: the model that answered, which may differ from the requested one.
        generation_id: the provider's id, for looking up the cost later.
        source_id: the id of the earlier send whose cached answer this is; None for a fresh answer.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    model_served: str | None = None
    generation_id: str | None = None
    source_id: str | None = None


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A provider's description of a key.

    Attributes:
        label: the masked key, such as `sk-or-v1-0e6...1c96`.
        limit_remaining_usd: US dollars left under the key's own limit; None without a limit, or if not reported.
        is_management_key: it can create keys and cannot run models; such a key must be refused.
        expires_at: UTC, when it stops working; None if never, or if not reported.
        limit_usd: US dollars of the key's own limit; None without a limit, or if not reported.
        limit_reset: how often that limit starts anew: daily, weekly or monthly; None if never, or if not reported.
    """

    label: str
    limit_remaining_usd: Decimal | None
    is_management_key: bool
    expires_at: datetime | None = None
    limit_usd: Decimal | None = None
    limit_reset: str | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """A model's listed prices: US dollars per input token, per output token, and per request.

    Attributes:
        tiers: the prices of longer prompts, shortest first.
    """

    prompt_usd: Decimal
    completion_usd: Decimal
    request_usd: Decimal
    tiers: "tuple[TierPrices, ...]" = ()

    def at(self, prompt_tokens: int) -> "Prices":
        """Return the prices of a prompt of at most so many tokens."""
        return reached(self.tiers, prompt_tokens) or self


@dataclass(frozen=True, slots=True, kw_only=True)
class TierPrices(Prices):
    """The prices of prompts above so many tokens."""

    above: int


class _Tier(Protocol):
    @property
    def above(self) -> int: ...


Tier = TypeVar("Tier", bound=_Tier)


def reached(tiers: Sequence[Tier], prompt_tokens: int) -> Tier | None:
    """Find the tier that a prompt of at most so many tokens can reach; None: it is too short for the first.

    A tier applies to longer prompts only, not to those of just as many tokens (`min_prompt_tokens` of OpenRouter's
    list). Each holds the highest prices up to there, so the last one is the dearest.
    """
    return next((tier for tier in reversed(tiers) if prompt_tokens > tier.above), None)


def priced(usage: Usage, prices: Prices | None) -> Usage:
    """Add the cost by the listed prices, exactly, if both counts are known; otherwise the cost stays unknown."""
    if usage.cost_usd is not None or prices is None or usage.input_tokens is None or usage.output_tokens is None:
        return usage
    # Prices may have more digits than the default context keeps, and nothing may be rounded.
    with localcontext(prec=400):
        tokens = usage.input_tokens * prices.prompt_usd + usage.output_tokens * prices.completion_usd
        return replace(usage, cost_usd=tokens + prices.request_usd)


def read_usage(document: Mapping[str, object]) -> Usage:
    """Read the usage of a chat completion."""
    usage = mapping(document.get("usage"))
    return Usage(
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        cost_usd=_cost(usage),
        model_served=read_id(document.get("model")),
        generation_id=read_id(document.get("id")),
    )


def read_key(body: bytes, _key: str = "") -> KeyFacts:
    """Read the body of a 200 response of OpenRouter's `GET /key`.

    Raises:
        ExecutionFailed: it does not describe a key.
    """
    document = parse(body)
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        raise malformed()
    label = data.get("label")
    remaining, limit, reset = (data.get(name) for name in ("limit_remaining", "limit", "limit_reset"))
    return KeyFacts(
        label=label if isinstance(label, str) and _LABEL.fullmatch(label) else "",
        limit_remaining_usd=None if remaining is None else _amount(remaining, least=-_NO_COST_ABOVE),
        is_management_key=data.get("is_management_key") is True or data.get("is_provisioning_key") is True,
        expires_at=_moment(data.get("expires_at")),
        limit_usd=None if limit is None else _amount(limit),
        limit_reset=reset if isinstance(reset, str) and reset in _RESETS else None,
    )


def read_generation(body: bytes) -> Decimal | None:
    """Read the cost in US dollars from a 200 response of `GET /generation`; None if it has none."""
    document = parse(body)
    data = mapping(mapping(document).get("data"))
    cost = _amount(data.get("total_cost"))
    if data.get("is_byok") is not True:
        return cost
    upstream = _amount(data.get("upstream_inference_cost"))
    return None if cost is None or upstream is None else cost + upstream


def _cost(usage: Mapping[str, object]) -> Decimal | None:
    """Read the creator's cost of a call in US dollars.

    With a provider key of the creator's own (`is_byok`), `cost` is only OpenRouter's fee, and the provider bills the
    model; otherwise `upstream_inference_cost` is part of `cost` and must not be added.
    """
    cost = _amount(usage.get("cost"))
    if usage.get("is_byok") is not True:
        return cost
    upstream = _amount(mapping(usage.get("cost_details")).get("upstream_inference_cost"))
    return None if cost is None or upstream is None else cost + upstream


def _amount(value: object, least: Decimal = Decimal(0)) -> Decimal | None:
    """Read an amount of US dollars; None if it cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    in_range = amount.is_finite() and least <= amount <= _NO_COST_ABOVE
    return amount if in_range and int(amount.as_tuple().exponent) >= -_COST_DIGITS else None


def _moment(value: object) -> datetime | None:
    """Read a time in ISO 8601, in UTC if it has no zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment and (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


def read_id(value: object) -> str | None:
    """Read an id of the provider; None if it cannot be one."""
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None
