"""Make and read quotes: a version, a price and an expiry under a MAC. Nothing is stored.

A client that echoes its quote (x402 v2, `accepted.extra.quoteId`) gets that version and price.
"""

import os
import struct
import time
from dataclasses import dataclass
from uuid import UUID

from core.payments.x402_sdk import PaymentPayload
from core.resources import versions
from core.secrets.vault import vault
from core.settings import settings

_QUOTE = struct.Struct(">16sQQ8s")


@dataclass(frozen=True, slots=True)
class Quote:
    """A price that we promised.

    Attributes:
        version_id: the quoted version.
        price_atomic: atomic USDC.
        expires: unix seconds (UTC).
    """

    version_id: UUID
    price_atomic: int
    expires: int


def make_quote(version: versions.Version) -> str:
    """Make a fresh quote for a version. Its random part keeps strangers from rebuilding a paid header."""
    body = _QUOTE.pack(
        version.version_id.bytes,
        version.price_atomic,
        int(time.time()) + settings().quote_seconds,
        os.urandom(8),
    )
    return vault().token("quote", body)


def read_quote(text: object) -> Quote | None:
    """Read a quote, expired or not; None if we did not make it."""
    body = vault().read_token("quote", text) if isinstance(text, str) else None
    if body is None:
        return None
    version_id, price, expires, _random = _QUOTE.unpack(body)
    return Quote(UUID(bytes=version_id), price, expires)


def quote_of(payload: PaymentPayload) -> Quote | None:
    """Return the quote that the client echoed, if it is one of ours."""
    return read_quote((payload.accepted.extra or {}).get("quoteId"))
