"""Make and read quotes: a version, a price, payout addresses and an expiry under a MAC. Nothing is stored.

A client that echoes its quote (x402 v2, `accepted.extra.quoteId`) gets that version and price, and pays that address.
"""

import hashlib
import os
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from core.payments.x402_sdk import PaymentPayload
from core.resources import versions
from core.secrets.vault import vault
from core.settings import settings

_QUOTE = struct.Struct(">16sQQ8s")
_PAYOUT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Quote:
    """A price that we promised.

    Attributes:
        version_id: the quoted version.
        price_atomic: atomic USDC.
        expires: unix seconds (UTC).
        payouts: what `_digest` makes of each payout address; none in quotes from before it was kept.
    """

    version_id: UUID
    price_atomic: int
    expires: int
    payouts: frozenset[bytes] = frozenset()

    def names(self, network: str, address: str) -> bool:
        """Whether the offer with this quote asked to pay this address on this network."""
        return _digest(network, address) in self.payouts


def make_quote(version: versions.Version, payouts: Iterable[tuple[str, str]]) -> str:
    """Make a fresh quote for a version. Its random part keeps strangers from rebuilding a paid header.

    Args:
        version: what is on offer.
        payouts: networks with the payout addresses of the offer.
    """
    body = _QUOTE.pack(
        version.version_id.bytes,
        version.price_atomic,
        int(time.time()) + settings().quote_seconds,
        os.urandom(8),
    )
    return vault().token("quote", body + b"".join(_digest(network, address) for network, address in payouts))


def read_quote(text: object) -> Quote | None:
    """Read a quote, expired or not; None if we did not make it."""
    body = vault().read_token("quote", text) if isinstance(text, str) else None
    if body is None:
        return None
    version_id, price, expires, _random = _QUOTE.unpack_from(body)
    starts = range(_QUOTE.size, len(body), _PAYOUT_BYTES)
    payouts = frozenset(body[start : start + _PAYOUT_BYTES] for start in starts)
    return Quote(UUID(bytes=version_id), price, expires, payouts)


def quote_of(payload: PaymentPayload) -> Quote | None:
    """Return the quote that the client echoed, if it is one of ours."""
    return read_quote((payload.accepted.extra or {}).get("quoteId"))


def _digest(network: str, address: str) -> bytes:
    """Shorten an address, so that offers stay short. To find another one with the same digest takes 2^128 tries."""
    return hashlib.sha256(f"{network} {address.lower()}".encode()).digest()[:_PAYOUT_BYTES]
