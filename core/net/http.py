"""Open HTTP sessions to other servers: model providers, facilitators and chain nodes.

They use aiohttp, because httpx costs more CPU for each request the more connections are open (decision 0014).
"""

import socket
import ssl
import urllib.request
from collections.abc import Iterable
from functools import cache
from urllib.parse import urlsplit

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult

from core.net.addresses import Network, may_reach
from core.settings import settings

_ENDLESS = aiohttp.ClientTimeout()
# Limits for response headers. Content security policies of 9 kB and 150 lines exist, and a library's lower limit would
# lose an answer that was paid for.
_HEADER_BYTES = 128 * 1024
_HEADERS = 1024


def session(
    idle_seconds: float, timeout: aiohttp.ClientTimeout = _ENDLESS, *, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """Open a session on the running event loop. It keeps no cookies.

    Args:
        idle_seconds: how long an idle connection is kept. Keep it shorter than the server does: a connection that the
            server closes while we send leaves the outcome unknown.
        timeout: the default timeout of requests; by default none.
        resolver: looks names up; by default this machine's.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=idle_seconds, ssl=_certificates(), resolver=resolver),
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
        max_headers=_HEADERS,
        timeout=timeout,
    )


class GuardedResolver(AbstractResolver):
    """Find only public addresses, and those in some networks. What it finds is connected to, so rebinding is no way in.

    aiohttp does not ask it about a number in a URL.
    """

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self._names = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look a name up.

        Raises:
            OSError: it has no address that may be reached.
        """
        found = await self._names.resolve(host, port, family)
        allowed = [one for one in found if may_reach((one["host"], port), self._networks)]
        if not allowed:
            raise OSError("no address that may be reached")
        return allowed

    async def close(self) -> None:
        """There is nothing to close."""


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
