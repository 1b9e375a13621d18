"""Convert amounts of money between decimal text and atomic USDC (six decimals)."""

import re
from decimal import ROUND_CEILING, Decimal

LEAST_PRICE_ATOMIC = 1000

_ATOMIC_PER_USDC = 1_000_000
_PRICE = re.compile(r"([0-9]{1,7})(?:\.([0-9]{1,6}))?")


def atomic_usdc(text: str) -> int:
    """Convert a price in USDC to atomic units, exactly.

    Args:
        text: plain decimal digits, at most six after the point: `0.01`.

    Raises:
        ValueError: its message says how to write a price.
    """
    match = _PRICE.fullmatch(text)
    if match is None:
        raise ValueError("must be plain digits with at most six decimals, such as 0.01")
    atomic = int(match[1]) * _ATOMIC_PER_USDC + int((match[2] or "").ljust(6, "0"))
    if atomic < LEAST_PRICE_ATOMIC:
        raise ValueError("must be at least 0.001 USDC")
    return atomic


def usdc(atomic: int) -> str:
    """Format a price: `10000` atomic units are `0.01`."""
    whole, rest = divmod(atomic, _ATOMIC_PER_USDC)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")


def dollars(usd: Decimal) -> str:
    """Format a cost, rounded up to a millionth of a dollar."""
    return f"{usd.quantize(Decimal('0.000001'), ROUND_CEILING):f}"
