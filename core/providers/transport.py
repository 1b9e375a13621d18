"""Run the openai SDK over our own aiohttp sessions.

Its aiohttp transport (`DefaultAioHttpClient`) reports every lost connection as a connect timeout, so a request that may
have been charged would look like one that was never sent.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import httpx2  # the HTTP library of openai 3; its exceptions say whether a request was sent
from yarl import URL

from core.net import http as net_http

# Of a refusal, or a key's or a cost's document; real ones have a few kilobytes. Answers are bounded by their reader.
_DOCUMENT_BYTES = 1024 * 1024


class Transport(httpx2.AsyncBaseTransport):
    """Send over sessions of the running event loop, and raise httpx2's exceptions.

    Args:
        idle_seconds: how long an idle connection is kept.

    Raises:
        httpx2.ConnectError, httpx2.ConnectTimeout: nothing was sent.
        httpx2.ReadTimeout: no byte arrived for too long.
        httpx2.RemoteProtocolError: the connection broke, or the response is not HTTP.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._session = net_http.session(idle_seconds)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return the response before its body is read."""
        url, body, seconds = str(request.url), await request.aread(), request.extensions["timeout"]
        with _as_httpx2():
            response = await self._session.request(
                request.method,
                URL(url, encoded=True),
                headers=dict(request.headers),
                data=body or None,
                timeout=aiohttp.ClientTimeout(sock_connect=seconds["connect"], sock_read=seconds["read"]),
                proxy=net_http.proxy(url),
                allow_redirects=False,
            )
        # aiohttp has decompressed it, a bounded piece at a time.
        headers = [pair for pair in response.raw_headers if pair[0].lower() != b"content-encoding"]
        most = None if request.method == "POST" and response.status == 200 else _DOCUMENT_BYTES
        return httpx2.Response(response.status, headers=headers, stream=_Body(response, most), request=request)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()


class _Body(httpx2.AsyncByteStream):
    """The body of a response; of more than `most` bytes only the beginning, where that is not None."""

    def __init__(self, response: aiohttp.ClientResponse, most: int | None) -> None:
        self._response = response
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content, received = self._response.content, 0
        with _as_httpx2():
            try:
                async for chunk in content.iter_any():
                    yield chunk
                    received += len(chunk)
                    if self._most is not None and received >= self._most:
                        return
            except aiohttp.ClientError:
                # aiohttp raises before it yields its buffer, and those bytes did arrive (aiohttp#4397).
                if buffered := content._read_nowait(-1):
                    yield buffered
                raise

    async def aclose(self) -> None:
        """Close the connection, which cancels an unfinished body."""
        self._response.close()


@contextmanager
def _as_httpx2() -> Iterator[None]:
    """Convert aiohttp's exceptions, which hold the request and its headers, so none of them gets out."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise httpx2.ConnectTimeout("") from None
    except aiohttp.ClientConnectorError:
        raise httpx2.ConnectError("") from None
    except aiohttp.ServerTimeoutError:
        raise httpx2.ReadTimeout("") from None
    except aiohttp.ClientError:
        raise httpx2.RemoteProtocolError("") from None
