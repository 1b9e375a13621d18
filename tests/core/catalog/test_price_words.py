"""Prices in words: with a unit, and with as many digits as a reader needs."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from core.catalog.price_words import price


@dataclass(frozen=True)
class Row:
    """The prices of one model, in US dollars."""

    prompt_usd: Decimal | None
    completion_usd: Decimal | None = Decimal("0.0000004")
    image_output_usd: Decimal | None = None
    request_usd: Decimal | None = None
    search_usd: Decimal | None = None
    picture_usd: Decimal | None = None
    price_tiers: str = "[]"
    prices: str = "{}"


@pytest.mark.parametrize(
    ("usd", "beside", "words"),
    [
        ("0.00000013333333333333333", None, "$0.1333 in, $0.4 out per million tokens"),
        ("0.00000013333333333333333", "0.0000002", "$0.1333 in, $0.4 out per million tokens"),
        ("0.000000133333", "0.000000133334", "$0.133333 in, $0.4 out per million tokens"),
        ("0.00003", "0.00003", "$30 in, $0.4 out per million tokens"),
        ("1", None, "$1000000 in, $0.4 out per million tokens"),
        (None, None, "price unknown"),
    ],
)
def test_four_digits_unless_they_hide_the_difference(usd: str | None, beside: str | None, words: str) -> None:
    """A price that goes on for ever is cut, but two prices never look the same because of it."""
    assert price(Row(usd and Decimal(usd)), beside and Row(Decimal(beside))) == words
