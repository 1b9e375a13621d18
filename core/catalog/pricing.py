"""Read the `pricing` of a row of OpenRouter's list: what our calls are charged by, and every other price.

No key is free by default. `RULES` says of each key what it charges; a key that it does not know makes the price
unknown, unless it is 0. docs/prices.md says what each key means and where that is known from.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypedDict

from core.catalog.model import PriceTier

Rule = Literal["prompt", "completion", "request", "cache", "image_output", "picture", "search", "never"]

RULES: Mapping[str, Rule] = {
    "prompt": "prompt",
    "completion": "completion",
    "internal_reasoning": "completion",
    "request": "request",
    "input_cache_read": "cache",
    "input_cache_write": "cache",
    # Only for a cache control with `ttl`, which we never send.
    "input_cache_write_1h": "never",
    "image_output": "image_output",
    # Of models that make pictures. For all others it is about pictures in the prompt alone: `pictures.input_usd`.
    "image_token": "image_output",
    "image": "picture",
    # Of models that search unasked. All others search only if they are asked to, and we never ask.
    "web_search": "search",
    # We send no sound, and no model that makes sound is sold.
    "audio": "never",
    "audio_output": "never",
    "input_audio_cache": "never",
}
_ONLY_WITH_PICTURES = frozenset({"image", "image_token"})
_REQUIRED = ("prompt", "completion")

# What is no price. A discount may end at any time, so nobody counts on it; a negative one is a surcharge.
_NO_PRICE = frozenset({"overrides", "discount", "min_prompt_tokens", "utc_start", "utc_end", "utc_days"})

# "-1" means "varies"; Decimal itself would also accept "NaN", "Infinity" and "1_0".
_PRICE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,2})?")
_MOST_TOKENS = 2**31
# US dollars for one token: a typing error, and more than sums of money have room for.
_NO_PRICE_FROM = 1_000_000
_FREE = Decimal(0)

Listed = dict[str, Decimal | None]


class Charged(TypedDict):
    """The fields of `Charges`. A list has thousands of rows, and each is checked once, as a whole model."""

    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    image_output_usd: Decimal | None
    cache_usd: Decimal | None
    search_usd: Decimal | None
    picture_usd: Decimal | None


class _UnknownPrice(ValueError):
    """What a call costs cannot be told."""


def _price(value: object) -> Decimal | None:
    """Read a decimal string. A JSON number with a fraction is refused, because parsing has already rounded it.

    Equal prices are written alike, however the list writes them, so that none counts as a change.
    """
    if value == 0 and isinstance(value, float):
        return Decimal(0)
    exact = isinstance(value, str | int) and not isinstance(value, bool)
    if not exact or not _PRICE.fullmatch(str(value)):
        return None
    digits = str(value)
    if "e" in digits or "E" in digits:
        digits = f"{Decimal(digits):f}"
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    price = Decimal(digits)
    return price if price < _NO_PRICE_FROM else None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a row says about prices.

    Attributes:
        charges: what a call with a short prompt is charged by; None if that is unknown.
        tiers: what longer prompts are charged by, shortest first.
        prices: every price by its key, the highest over all hours, of prompts too short for any tier; None for a value
            that is no price. A key that is null is not listed.
    """

    charges: Charged | None
    tiers: tuple[PriceTier, ...]
    prices: Listed


def read(pricing: object, outputs: Sequence[str], *, searches: bool, context_length: int | None) -> Reading:
    """Read the `pricing` of a row.

    Prices by the hour count at their highest, because the list shows the one in force when it is fetched.

    Args:
        pricing: the object of the list.
        outputs: what the model makes.
        searches: it searches the web unasked.
        context_length: tokens; a tier that begins there is never reached. None if unknown.
    """
    entries = _entries(pricing)
    prices = _highest([entry for above, entry in entries if above is None])
    steps = {above for above, _ in entries if above is not None and (context_length is None or above < context_length)}
    try:
        base = before = _charged(prices, outputs, searches=searches)
        _refuse_hidden_bill(base, prices, outputs)
        tiers: list[PriceTier] = []
        for above in sorted(steps):
            up_to = _highest([entry for start, entry in entries if start is None or start <= above])
            now = _charged(up_to, outputs, searches=searches)
            if now != before:
                tiers.append(PriceTier(above=above, prices=up_to, **now))
                before = now
    except _UnknownPrice:
        return Reading(None, (), prices)
    return Reading(base, tuple(tiers), prices)


def _entries(pricing: object) -> list[tuple[int | None, Listed]]:
    """Read the list price and its overrides: above how many tokens of prompt each may apply (None: always)."""
    base = pricing if isinstance(pricing, dict) else {}
    overrides = base.get("overrides") or []
    entries: list[tuple[int | None, Listed]] = []
    for entry in (base, *(overrides if isinstance(overrides, list) else [None])):
        if isinstance(entry, dict):
            entries.append((_above(entry.get("min_prompt_tokens")), dict(_prices(entry))))
        else:
            entries.append((None, {"overrides": None}))
    return entries


def _above(value: object) -> int | None:
    """Read the condition on the length; one that cannot be read always holds."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MOST_TOKENS
    return value if isinstance(value, int) and is_count else None


def _prices(entry: Mapping[str, object]) -> Iterator[tuple[str, Decimal | None]]:
    for key, value in entry.items():
        if key == "discount" and str(value).startswith("-"):
            yield key, None
        elif key not in _NO_PRICE and (value is not None or key in _REQUIRED):
            yield key, _price(value)


def _highest(entries: Sequence[Listed]) -> Listed:
    """Find the highest price by key; one that is unknown anywhere is unknown."""
    if len(entries) == 1:
        return entries[0]
    highest: Listed = {}
    for prices in entries:
        for key, price in prices.items():
            known = highest.get(key, price)
            highest[key] = None if known is None or price is None else max(known, price)
    return highest


def _charged(prices: Listed, outputs: Sequence[str], *, searches: bool) -> Charged:
    """Sum up what a call is charged by at these prices.

    Raises:
        _UnknownPrice: a price that may be charged is missing or unreadable.
    """
    found: dict[Rule, Decimal] = {}
    for key, price in prices.items():
        rule = RULES.get(key)
        if rule is None and price == 0:
            continue
        if rule == "never" or (rule == "search" and not searches):
            continue
        if key in _ONLY_WITH_PICTURES and "image" not in outputs:
            continue
        if rule is None or price is None:
            raise _UnknownPrice
        found[rule] = max(price, found.get(rule, price))
    if not found.keys() >= {"prompt", "completion"} or not prices.keys() >= {*_REQUIRED}:
        raise _UnknownPrice
    return {
        "prompt_usd": found["prompt"],
        "completion_usd": found["completion"],
        "request_usd": found.get("request", _FREE),
        "image_output_usd": found.get("image_output"),
        "cache_usd": found.get("cache"),
        "search_usd": found.get("search"),
        "picture_usd": found.get("picture"),
    }


def _refuse_hidden_bill(base: Charged, prices: Listed, outputs: Sequence[str]) -> None:
    """Refuse prices of 0 where something else must be billed: pictures, sound, or a key that we are not charged by.

    Raises:
        _UnknownPrice: what is billed is not listed, or not as something that we know to be charged.
    """
    makes = (base["completion_usd"], base["image_output_usd"], base["picture_usd"], base["request_usd"])
    if {*outputs} - {"text"} and not any(makes) and ("image" in outputs or not base["prompt_usd"]):
        raise _UnknownPrice
    if not any(base.values()) and any(price is None or price for price in prices.values()):
        raise _UnknownPrice
