"""uvicorn's HTTP protocol, with a deadline for each connection that waits, and a bound on connections.

uvicorn waits for ever for a request that has begun, or never begins (Kludex/uvicorn#1192), and for a client that does
not read its answer. Silent connections would use up the file descriptors of the process, and nobody else could connect.
"""

import asyncio
import logging
import resource
from collections import Counter, OrderedDict
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api import security
from core.net.addresses import client_at, read_address
from core.settings import settings

# File descriptors for everything else: Postgres, facilitators, providers, logs.
_RESERVED_FILES = 200

# uvicorn logs each request that it cannot read, so strangers would fill the log. The answer, 400, says it already.
logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg != "Invalid HTTP request received.")

_open: Counter[str] = Counter()
# Connections on which no request is being answered, those that have waited longest first.
_waiting: OrderedDict["BoundedProtocol", None] = OrderedDict()


class BoundedProtocol(H11Protocol):
    """One connection of a client.

    It is closed when its first or next request, or the client's reading of an answer, does not end in time; and at once
    when its client, as `client_at` names it, has too many. When the process has too many, it closes the one that has
    waited longest, so that silent connections keep nobody out. Proxies that the settings trust hold the connections of
    many clients, so only the process's bound is theirs.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._unread = 0
        self._is_idle = False
        self._client: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and wait for its first request."""
        super().connection_made(transport)
        host = self.client[0] if self.client else "unknown"
        self._client = client_at(host)
        _open[self._client] += 1
        if _open[self._client] > settings().address_connections and not _is_proxy(host):
            transport.abort()
            return
        self._begin_wait(settings().request_seconds)
        if len(self.connections) > _most_connections():
            # The newest is the last of those that wait, so it goes only if requests are answered on all others.
            longest, _ = _waiting.popitem(last=False)
            longest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        super().connection_lost(exc)
        self._end_wait()
        if self._client is not None:
            _open[self._client] -= 1
            if not _open[self._client]:
                del _open[self._client]

    def data_received(self, data: bytes) -> None:
        """Read on; a complete request ends the wait, and the first byte of the next one begins another."""
        if self._is_idle:
            self._begin_wait(settings().request_seconds)
        super().data_received(data)
        self._wait_or_answer()

    def _should_upgrade(self) -> bool:
        """Answer a request that asks for another protocol as if it did not ask (RFC 9110, 7.8), without a warning."""
        return False

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP: as uvicorn does, with the security headers of every other answer."""
        if self.conn.our_state is not h11.IDLE and self.conn.our_state is not h11.SEND_RESPONSE:
            # The request was answered before the rest of its body came, and nothing can be answered after that.
            self.transport.close()
            return
        headers = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close", **security.HEADERS}
        answer = h11.Response(status_code=HTTPStatus.BAD_REQUEST, headers=list(headers.items()), reason=b"Bad Request")
        for event in (answer, h11.Data(data=msg.encode("ascii")), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for the next request; uvicorn closes idle connections, but not before their client has read all."""
        self._begin_wait(self.timeout_keep_alive + settings().request_seconds)
        self._is_idle = True
        super().on_response_complete()
        self._wait_or_answer()
        # The rest of a body that the answer did not need, or of the next request, is still to come.
        if self._is_idle and (self.cycle.more_body or self.conn.trailing_data[0]):
            self._begin_wait(settings().request_seconds)

    def pause_writing(self) -> None:
        """Wait for the client to read what was sent."""
        super().pause_writing()
        self._begin_wait(settings().request_seconds)

    def resume_writing(self) -> None:
        """Go on with the answer."""
        super().resume_writing()
        self._wait_or_answer()

    def _begin_wait(self, seconds: float) -> None:
        self._end_wait()
        self._unread = self.transport.get_write_buffer_size()
        self._deadline = self.loop.call_later(seconds, self._give_up)
        _waiting[self] = None

    def _give_up(self) -> None:
        """Close the connection, unless its client is still reading, however slowly."""
        unread = self.transport.get_write_buffer_size()
        if 0 < unread < self._unread:
            self._unread = unread
            self._deadline = self.loop.call_later(settings().request_seconds, self._give_up)
        else:
            self.transport.abort()

    def _wait_or_answer(self) -> None:
        """End the wait when a request is complete and being answered, unless its client reads nothing."""
        if self.cycle is None or self.cycle.more_body or self.cycle.response_complete:
            return
        if not self.flow.write_paused:
            self._end_wait()
        elif self._is_idle:
            self._begin_wait(settings().request_seconds)

    def _end_wait(self) -> None:
        self._is_idle = False
        _waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _most_connections() -> int:
    """Return how many connections leave file descriptors for everything else."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(files - _RESERVED_FILES, files // 2)


def _is_proxy(host: str) -> bool:
    address = read_address(host)
    return address is not None and any(address in network for network in settings().trusted_proxies)
