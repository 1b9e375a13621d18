"""Connections that say nothing, or stop in the middle."""

import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests import doors, servers
from tests.shops import Shop, eventually

HEAD = b"POST /@a/b HTTP/1.1\r\nHost: door\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"


def connect(url: str) -> socket.socket:
    """A connection to the door that waits for what it says."""
    where = urlsplit(url)
    return socket.create_connection((where.hostname, where.port), timeout=10)


def read_to_the_end(connection: socket.socket) -> bytes:
    """All that the door says until it closes the connection, in whatever way."""
    received = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


def test_what_does_not_arrive_is_not_waited_for(surroundings: Path, shop: Shop) -> None:
    """A silent connection, half a head, half a body and half a second request end after the deadline."""
    whole = f"GET {shop.path} HTTP/1.1\r\nHost: door\r\n\r\n".encode()
    begun = [b"", b"GET / HT", HEAD, HEAD + b"\r\n{", whole + b"GET / HT"]
    with doors.door(surroundings, servers.free_port(), INSTANT_REQUEST_SECONDS="1") as door, ExitStack() as stack:
        connections = [stack.enter_context(connect(door.url)) for _ in begun]
        began = time.monotonic()
        for connection, part in zip(connections, begun, strict=True):
            connection.sendall(part)
        received = [read_to_the_end(connection) for connection in connections]

    assert time.monotonic() - began >= 1
    assert [b" 402 " in one for one in received] == [False] * 4 + [True]


async def test_one_address_has_so_many_connections(surroundings: Path, shop: Shop) -> None:
    """The next one is closed at once; when one of them ends, there is room."""
    limits = {"INSTANT_ADDRESS_CONNECTIONS": "8", "INSTANT_REQUEST_SECONDS": "600"}
    with doors.door(surroundings, servers.free_port(), **limits) as door, ExitStack() as stack:
        held = [stack.enter_context(connect(door.url)) for _ in range(8)]
        with connect(door.url) as one_too_many:
            assert read_to_the_end(one_too_many) == b""
        held[0].close()

        async def is_served() -> bool:
            with suppress(httpx.TransportError):
                async with httpx.AsyncClient() as http:
                    return (await http.get(door.url + shop.path)).status_code == 402
            return False

        await eventually(is_served)
