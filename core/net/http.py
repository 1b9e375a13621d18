"""How everybody outside is reached: model providers, facilitators and chain nodes.

Connections are aiohttp's. With httpx a sale costs the door two thirds more: with each request it looks at all
connections that are open (decision 0014).
"""

import ssl
import urllib.request
from functools import cache
from urllib.parse import urlsplit

import aiohttp
import certifi

from core.settings import settings

_ENDLESS = aiohttp.ClientTimeout()
# Headers of other servers: content security policies of 9 kB and 150 lines are real, and a library's limit would turn
# an answer that was paid for into a lost one.
_HEADER_BYTES = 128 * 1024
_HEADERS = 1024


def session(idle_seconds: float, timeout: aiohttp.ClientTimeout = _ENDLESS) -> aiohttp.ClientSession:
    """Connections that belong to the running event loop. They follow nothing and keep no cookies.

    Args:
        idle_seconds: how long a connection is kept for the next request. Shorter than the other side does: one that is
            closed there while we send is a needless doubt.
        timeout: of requests that bring none; by default, none at all.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=idle_seconds, ssl=_certificates()),
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
        max_headers=_HEADERS,
        timeout=timeout,
    )


def proxy(url: str) -> str | None:
    """The proxy that HTTPS_PROXY, NO_PROXY and so on name for a URL; none leads to the practice servers on loopback.

    aiohttp would ask a thread for it with every request, and look for passwords in a netrc file.
    """
    return _proxy(*urlsplit(url)[:2]) if settings().mode == "live" else None


@cache
def _proxy(scheme: str, host: str) -> str | None:
    named = urllib.request.getproxies()
    return None if urllib.request.proxy_bypass(host) else named.get(scheme) or named.get("all")


@cache
def _certificates() -> ssl.SSLContext:
    # What httpx trusts as well, so that it does not matter what the machine has.
    return ssl.create_default_context(cafile=certifi.where())
