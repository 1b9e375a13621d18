"""Decide which addresses a webhook may have."""

import re
from urllib.parse import urlsplit
from uuid import UUID

from core.notices import addresses, egress_guard
from core.settings import settings

_LONGEST_URL = 500
# No name in the DNS ends so, and look-ups read some as addresses (URL Standard, 3.5).
_NUMBER_AT_END = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)")
_URL = re.compile(r"https?://[\x21-\x7e]+")


def problem(account_id: UUID, url: str) -> str | None:
    """Find why a URL is refused before any look-up. The egress guard checks where its host name leads at each use."""
    schemes = ("https",) if settings().mode == "live" else ("https", "http")
    try:
        parts = urlsplit(url) if len(url) <= _LONGEST_URL and _URL.fullmatch(url) else None
        host, port = (parts.hostname, parts.port) if parts else (None, None)
    except ValueError:
        parts = host = port = None
    if parts is None or not host or parts.scheme not in schemes or port == 0:
        return f"must be an {schemes[0]} address of at most {_LONGEST_URL} characters, such as https://example.com/hook"
    if parts.username is not None or parts.fragment:
        return "must have no user and no fragment"
    networks, host = addresses.networks_of(settings(), account_id), host.removesuffix(".")
    if (":" in host or _NUMBER_AT_END.fullmatch(host)) and not egress_guard.may_reach((host, 0), networks):
        return "must not lead to an inner network"
    return None
