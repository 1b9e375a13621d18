"""One model as the provider lists it: what its row says, what a call may cost, whether a call may be sold.

Facts about the format: OpenRouter's `GET /models`, as documented and as counted in real catalogs of 2026.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

# "-1" means "varies"; Decimal itself would also take "NaN", "Infinity" and "1_0".
_PRICE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,2})?")
_DELIVERABLE = {"text", "image"}
_PLAIN_VARIANTS = {"", "thinking", "extended"}
_REFUSED_VARIANTS = {"batch": "batch_only", "free": "free_variant"}


class Model(BaseModel):
    """One model as last listed.

    Attributes:
        id: what is sent as `model`.
        context_length: tokens in and out together; None when not told.
        max_completion_tokens: the most tokens of one answer; None when not told.
        prompt_usd: US dollars per token, the worst over all overrides; None when unknown, which is never free.
        completion_usd: the same for answer tokens; covers reasoning tokens where those cost more.
        request_usd: US dollars per request; 0 where none is listed.
        image_output_usd: US dollars per image token; None where images are billed as completion tokens.
        not_sellable: why no call to it may be sold; None when one may.
        disabled: the operator's own switch.
        missing_since: UTC, the first sync that did not list it.
        raw: the provider's row, unknown fields included.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    context_length: int | None
    max_completion_tokens: int | None
    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]
    supported_parameters: tuple[str, ...]
    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    image_output_usd: Decimal | None
    not_sellable: str | None
    disabled: bool = False
    missing_since: datetime | None = None
    raw: dict[str, Any]


def read(model_id: str, row: dict[str, Any]) -> Model:
    """A model of the provider's row. Fields of unexpected types read as not told; unknown ones are kept in `raw`."""
    architecture, provider = _object(row.get("architecture")), _object(row.get("top_provider"))
    outputs = _texts(architecture.get("output_modalities"))
    prices = _worst_prices(row.get("pricing"))
    name = row.get("name")
    return Model(
        id=model_id,
        name=name if isinstance(name, str) and name else model_id,
        context_length=_count(row.get("context_length")),
        max_completion_tokens=_count(provider.get("max_completion_tokens")),
        input_modalities=_texts(architecture.get("input_modalities")),
        output_modalities=outputs,
        supported_parameters=_texts(row.get("supported_parameters")),
        prompt_usd=prices.get("prompt"),
        completion_usd=max(prices["completion"], prices["internal_reasoning"]) if prices else None,
        request_usd=prices.get("request"),
        image_output_usd=prices.get("image_output"),
        not_sellable=_form(model_id) or _modality(outputs) or (None if prices else "unknown_price"),
        raw=row,
    )


def _form(model_id: str) -> str | None:
    """Why an id of this form is not sellable: the form changes cost or behaviour, today or any day."""
    slug, _, variant = model_id.partition(":")
    if slug.startswith("openrouter/") or "@preset/" in model_id:
        return "router"
    if variant in _REFUSED_VARIANTS:
        return _REFUSED_VARIANTS[variant]
    if slug.startswith("~"):
        return "alias"
    return None if variant in _PLAIN_VARIANTS else "variant"


def _modality(outputs: tuple[str, ...]) -> str | None:
    """Anything beside text and images is neither delivered nor in the worst case's price."""
    return None if outputs and _DELIVERABLE.issuperset(outputs) else "unsupported_modality"


def _worst_prices(pricing: object) -> dict[str, Decimal]:
    """The highest price per key over the list price and all overrides, whatever their conditions.

    The list price is the one in force when it was fetched: hours of the day and long prompts bring overrides, and a
    key absent from an override is inherited. `discount` is left out, as it may end at any time.

    Returns:
        Nothing at all if any price that a call of ours may be charged is unknown.
    """
    worst = {"internal_reasoning": Decimal(0), "request": Decimal(0)}
    for key, price in _price_items(pricing):
        if price is None:
            return {}
        worst[key] = max(price, worst.get(key, price))
    return worst if {"prompt", "completion"} <= worst.keys() else {}


def _price_items(pricing: object) -> Iterator[tuple[str, Decimal | None]]:
    """Every price of the keys that our calls are charged by; None where it is no price."""
    listed = _object(pricing)
    overrides = listed.get("overrides") or []
    for entry in (listed, *(overrides if isinstance(overrides, list) else [None])):
        if not isinstance(entry, dict):
            yield "overrides", None
            continue
        for key in ("prompt", "completion", "internal_reasoning", "request", "image_output"):
            if key in entry:
                yield key, _price(entry[key])


def _price(value: object) -> Decimal | None:
    """Prices are decimal strings; a JSON number with a fraction was rounded when it was read, so it is none."""
    exact = isinstance(value, str | int) and not isinstance(value, bool)
    return Decimal(str(value)) if exact and _PRICE.fullmatch(str(value)) else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> tuple[str, ...]:
    items: Iterable[object] = value if isinstance(value, list) else ()
    return tuple(item for item in items if isinstance(item, str))


def _count(value: object) -> int | None:
    """A positive number of tokens that fits Postgres' integer."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None
