"""Send JSON requests to facilitators, chain nodes and identity providers.

Redirects are not followed. A POST is never repeated; aiohttp repeats a GET once if its connection had been closed.

aiohttp's exceptions hold the request and its headers, so this module lets none of them out.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from pydantic_core import from_json

from core.net import http as net_http
from core.net.addresses import Network as Network
from core.net.addresses import may_reach, read_address
from core.settings import settings, urls

CONNECT_SECONDS = 5
MOST_BYTES = 1_048_576
"""The longest response that is read. Facilitators and nodes send less for what we ask."""

# Below uvicorn's 5 seconds.
_IDLE_SECONDS = 2
_GET_HEADERS = {"accept": "application/json"}
_POST_HEADERS = _GET_HEADERS | {"content-type": "application/json"}

Client = aiohttp.ClientSession


@dataclass(frozen=True, slots=True)
class JsonResponse:
    """A response: its HTTP status, the body if it was a JSON object, and the host that a redirect leads to.

    Attributes:
        headers: as they came; their names have any case.
    """

    status: int
    body: dict[str, object] | None
    redirect_host: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class NoResponse:
    """No usable response: `not_sent`, `connection_lost`, `timed_out` or `unreadable`."""

    reason: str


def client() -> Client:
    """Open a session for facilitators and chain nodes. Use it as a context manager, which closes it."""
    connect = min(CONNECT_SECONDS, settings().facilitator_timeout_seconds)
    return net_http.session(_IDLE_SECONDS, aiohttp.ClientTimeout(sock_connect=connect))


async def post(
    http: Client, url: str, body: object, headers: Mapping[str, str] | None = None
) -> JsonResponse | NoResponse:
    """Post JSON and read a JSON response of any status, within `facilitator_timeout_seconds`.

    Args:
        http: a session from `client`.
        url: the URL.
        body: the JSON document.
        headers: additional headers, such as Authorization.
    """
    # Plain ASCII with the NaN extension: a value that the buyer signed reaches the facilitator, which may refuse it.
    return await _request(http, "POST", url, json.dumps(body).encode(), {**_POST_HEADERS, **(headers or {})})


async def get(
    http: Client, url: str, headers: Mapping[str, str] | None = None, *, most_bytes: int = MOST_BYTES
) -> JsonResponse | NoResponse:
    """Send a GET request and read a JSON response of any status, within `facilitator_timeout_seconds`."""
    return await _request(http, "GET", url, None, {**_GET_HEADERS, **(headers or {})}, most_bytes)


async def get_guarded(url: str, networks: Iterable[Network]) -> JsonResponse | NoResponse:
    """Send one GET request as `get` does, but only to the public internet and to these networks.

    A proxy that the environment names decides for itself what it reaches.
    """
    allowed, host = tuple(networks), urls.host_of(url)
    is_proxied = net_http.proxy(url) is not None
    if read_address(host) is not None and not is_proxied and not may_reach((host, 0), allowed):
        return NoResponse("not_sent")
    timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS)
    resolver = None if is_proxied else net_http.GuardedResolver(allowed)
    async with net_http.session(_IDLE_SECONDS, timeout, resolver=resolver) as http:
        return await get(http, url)


async def _request(
    http: Client, method: str, url: str, content: bytes | None, headers: Mapping[str, str], most_bytes: int = MOST_BYTES
) -> JsonResponse | NoResponse:
    try:
        async with (
            asyncio.timeout(settings().facilitator_timeout_seconds),
            http.request(
                method, url, data=content, headers=headers, allow_redirects=False, proxy=net_http.proxy(url)
            ) as response,
        ):
            received = await _read(response, most_bytes)
            if received is None:
                return NoResponse("unreadable")
            return JsonResponse(response.status, _object(received), _redirect_host(response), response.headers)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        return NoResponse("not_sent")
    except TimeoutError:
        return NoResponse("timed_out")
    except aiohttp.ClientError as error:
        if isinstance(error.__cause__, ContentEncodingError):
            return NoResponse("unreadable")
        return NoResponse("connection_lost")


def _redirect_host(response: aiohttp.ClientResponse) -> str:
    """The host that a redirect leads to, if it is one. The rest of its URL may hold anything, a key too."""
    if not 300 <= response.status < 400:
        return ""
    try:
        host = urlsplit(urljoin(str(response.url), response.headers.get("Location", ""))).hostname or ""
    except ValueError:
        return ""
    return host if urls.is_host(host) else ""


async def _read(response: aiohttp.ClientResponse, most_bytes: int) -> bytes | None:
    """Read the body; None if it is longer."""
    content = bytearray()
    async for part in response.content.iter_any():
        content += part
        if len(content) > most_bytes:
            return None
    return bytes(content)


def _object(content: bytes) -> dict[str, object] | None:
    try:
        parsed = from_json(content)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
