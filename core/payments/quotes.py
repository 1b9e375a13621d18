"""Quotes: a version, a price and an expiry under a MAC, with nothing stored.

A client that echoes its quote (x402 v2, `accepted.extra.quoteId`) is served at that version and price.
"""

import base64
import binascii
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
_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class Quote:
    """A price that we promised.

    Attributes:
        version_id: the version it is for.
        price_atomic: atomic USDC.
        expires: unix seconds (UTC).
    """

    version_id: UUID
    price_atomic: int
    expires: int


def make_quote(version: versions.Version) -> str:
    """A fresh quote for the version on offer. Its random part keeps strangers from rebuilding a paid header."""
    body = _QUOTE.pack(
        version.version_id.bytes,
        version.price_atomic,
        int(time.time()) + settings().quote_seconds,
        os.urandom(8),
    )
    return base64.urlsafe_b64encode(body + vault().sign("quote", body)).decode().rstrip("=")


def read_quote(text: object) -> Quote | None:
    """The quote we made, expired or not; None if we did not make it."""
    if not isinstance(text, str) or not text.isascii():
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if len(body) != _QUOTE.size or not vault().is_signed("quote", body, mac):
        return None
    version_id, price, expires, _random = _QUOTE.unpack(body)
    return Quote(UUID(bytes=version_id), price, expires)


def quote_of(payload: PaymentPayload) -> Quote | None:
    """The quote that the client echoed, if it is one of ours."""
    return read_quote((payload.accepted.extra or {}).get("quoteId"))
