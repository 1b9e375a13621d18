"""Write a model's prices in words."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Context, Decimal
from functools import lru_cache
from typing import Protocol

from pydantic import TypeAdapter


class Priced(Protocol):
    """What has the prices of a model, in US dollars. Tiers and listed prices may be JSON that nobody has read yet."""

    @property
    def prompt_usd(self) -> Decimal | None: ...
    @property
    def completion_usd(self) -> Decimal | None: ...
    @property
    def image_output_usd(self) -> Decimal | None: ...
    @property
    def request_usd(self) -> Decimal | None: ...
    @property
    def search_usd(self) -> Decimal | None: ...
    @property
    def picture_usd(self) -> Decimal | None: ...
    @property
    def price_tiers(self) -> Sequence[Mapping[str, object]] | str: ...
    @property
    def prices(self) -> Mapping[str, str | None] | str: ...


_TIERS = TypeAdapter(list[dict[str, object]])
_PRICES = TypeAdapter(dict[str, str | None])

_NO_TIERS = "[]"
# No price has more digits.
_EXACT = Context(prec=60)
_SHORT = Context(prec=4)

# The keys that `price` names.
_NAMED = frozenset({"prompt", "completion", "request", "image_output"})


def price(row: Priced, beside: Priced | None = None) -> str:
    """Format prices: US dollars per million tokens, per call, search and picture; then those of long prompts.

    Args:
        row: whose prices.
        beside: what it is shown beside. Four digits of each price are shown, or all if four do not tell the two apart.
    """
    if beside is not None and _words(row, _SHORT) == _words(beside, _SHORT):
        exact = _words(row, _EXACT)
        if exact != _words(beside, _EXACT):
            return exact
    return _words(row, _SHORT)


def _words(row: Priced, digits: Context) -> str:
    if row.prompt_usd is None or row.completion_usd is None:
        return "price unknown"
    tokens = [f"${_per_million(row.prompt_usd, digits)} in", f"${_per_million(row.completion_usd, digits)} out"]
    if row.image_output_usd is not None:
        tokens.append(f"${_per_million(row.image_output_usd, digits)} images")
    parts = [f"{', '.join(tokens)} per million tokens"]
    each = {"call": row.request_usd, "search": row.search_usd, "picture": row.picture_usd}
    parts += [f"${usd.normalize(digits):f} a {thing}" for thing, usd in each.items() if usd]
    for tier in _tiers(row):
        prompt, completion = (_per_million(Decimal(str(tier[key])), digits) for key in ("prompt_usd", "completion_usd"))
        parts.append(f"above {tier['above']} tokens ${prompt} in and ${completion} out")
    return ", ".join(parts)


def price_changes(state: Priced, other: Priced) -> Iterator[str]:
    """Name the prices of one state that differ in the other and that `price` does not name, by the key of the list.

    They are as listed, because no list says which of them are per token.
    """
    prices, others = _listed(state), _listed(other)
    if not others:
        # From before all prices were kept.
        return
    for key in sorted(prices.keys() | others.keys()):
        now = prices.get(key)
        if key not in _NAMED and now != others.get(key):
            yield f"{key} {'-' if now is None else f'${Decimal(now):f}'}"


def _tiers(row: Priced) -> Sequence[Mapping[str, object]]:
    if row.price_tiers == _NO_TIERS:
        return ()
    return _TIERS.validate_json(row.price_tiers) if isinstance(row.price_tiers, str) else row.price_tiers


def _listed(row: Priced) -> Mapping[str, str | None]:
    return _read(row.prices) if isinstance(row.prices, str) else row.prices


# Each state of a model is compared with the one before and the one after it.
@lru_cache(maxsize=4)
def _read(prices: str) -> Mapping[str, str | None]:
    return _PRICES.validate_json(prices)


def _per_million(usd: Decimal, digits: Context) -> str:
    return f"{usd.scaleb(6, digits).normalize(digits):f}"
