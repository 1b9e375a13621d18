"""Open HTTP sessions to other servers: model providers, facilitators and chain nodes.

They use aiohttp, because httpx costs more CPU for each request the more connections are open (decision 0014).
"""

import ssl
import urllib.request
from functools import cache
from urllib.parse import urlsplit

import aiohttp
import certifi

from core.settings import settings

_ENDLESS = aiohttp.ClientTimeout()
# Limits for response headers. Content security policies of 9 kB and 150 lines exist, and a library's lower limit would
# lose an answer that was paid for.
_HEADER_BYTES = 128 * 1024
_HEADERS = 1024


def session(idle_seconds: float, timeout: aiohttp.ClientTimeout = _ENDLESS) -> aiohttp.ClientSession:
    """Open a session on the running event loop. It keeps no cookies.

    Args:
        idle_seconds: how long an idle connection is kept. Keep it shorter than the server does: a connection that the
            server closes while we send leaves the outcome unknown.
        timeout: the default timeout of requests; by default none.
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
    """Return the proxy that HTTPS_PROXY, NO_PROXY and so on name for a URL; never one in sandbox mode.

    aiohttp's own look-up would use a thread for each request, and read passwords from a netrc file.
    """
    return _proxy(*urlsplit(url)[:2]) if settings().mode == "live" else None


@cache
def _proxy(scheme: str, host: str) -> str | None:
    proxies = urllib.request.getproxies()
    return None if urllib.request.proxy_bypass(host) else proxies.get(scheme) or proxies.get("all")


@cache
def _certificates() -> ssl.SSLContext:
    # The same certificates as httpx, independent of the machine.
    return ssl.create_default_context(cafile=certifi.where())
