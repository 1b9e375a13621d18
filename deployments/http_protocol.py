"""uvicorn's HTTP protocol, with a deadline for each request and a bound on connections.

uvicorn waits for ever for a request that has begun, or never begins (Kludex/uvicorn#1192). Silent connections would use
up the file descriptors of the process, and nobody else could connect.
"""

import asyncio
import resource
from collections import Counter
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api import security
from core.settings import settings

# File descriptors for everything else: Postgres, facilitators, providers, logs.
_RESERVED_FILES = 200

_open: Counter[str] = Counter()


class BoundedProtocol(H11Protocol):
    """One connection of a client.

    It is closed when its first or next request is not complete in time, and at once when its address, or the process,
    has too many. Proxies that the settings trust hold the connections of many clients, so only the process's bound is
    theirs.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._host: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and wait for its first request."""
        super().connection_made(transport)
        self._host = self.client[0] if self.client else "unknown"
        _open[self._host] += 1
        is_crowded = len(self.connections) > _most_connections()
        if is_crowded or (_open[self._host] > settings().address_connections and not _is_proxy(self._host)):
            transport.abort()
            return
        self._begin_wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        super().connection_lost(exc)
        self._end_wait()
        if self._host is not None:
            _open[self._host] -= 1
            if not _open[self._host]:
                del _open[self._host]

    def data_received(self, data: bytes) -> None:
        """Read on; a complete request ends the wait, and the first byte of the next one begins another."""
        super().data_received(data)
        is_complete = self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete
        if is_complete:
            self._end_wait()
        elif self._deadline is None:
            self._begin_wait()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP: as uvicorn does, with the security headers of every other answer."""
        headers = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close", **security.HEADERS}
        answer = h11.Response(status_code=HTTPStatus.BAD_REQUEST, headers=list(headers.items()), reason=b"Bad Request")
        for event in (answer, h11.Data(data=msg.encode("ascii")), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        """End the wait: until the next request begins, uvicorn's own timeout of idle connections counts."""
        self._end_wait()
        super().on_response_complete()

    def _begin_wait(self) -> None:
        self._deadline = self.loop.call_later(settings().request_seconds, self.transport.abort)

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _most_connections() -> int:
    """Return how many connections leave file descriptors for everything else."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(files - _RESERVED_FILES, files // 2)


def _is_proxy(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in settings().trusted_proxies)
