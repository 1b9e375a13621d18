"""Connections that say nothing, stop in the middle, or do not read."""

import asyncio
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
import uvicorn
from uvicorn.server import ServerState

from core.settings import settings
from deployments.http_protocol import BoundedProtocol
from tests import doors, servers
from tests.refusals import TOPIC
from tests.shops import Buyer, Shop, eventually

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
    limits = {"INSTANT_REQUEST_SECONDS": "1", "INSTANT_KEEP_ALIVE_SECONDS": "600"}
    with doors.door(surroundings, servers.free_port(), **limits) as door, ExitStack() as stack:
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


@pytest.fixture
def at_most_two(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set INSTANT_ADDRESS_CONNECTIONS to 2 in this process."""
    with monkeypatch.context() as changed:
        changed.setenv("INSTANT_ADDRESS_CONNECTIONS", "2")
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.mark.usefixtures("at_most_two")
async def test_one_client_has_so_many_connections_by_any_socket() -> None:
    """A dual-stack socket names an IPv4 client otherwise than an IPv4 socket, and it is the same client."""
    config = uvicorn.Config(_nothing, lifespan="off")
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()

    def connection() -> BoundedProtocol:
        return BoundedProtocol(config, state, {})

    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both:
        four, six = (
            await loop.create_server(connection, "127.0.0.1", 0),
            await loop.create_server(connection, sock=both),
        )
        async with four, six:
            ports = [server.sockets[0].getsockname()[1] for server in (four, six, four)]
            opened = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
            with suppress(ConnectionResetError):
                assert await asyncio.wait_for(opened[2][0].read(), 10) == b""
            held = len(state.connections)
            for _, writer in opened:
                writer.close()
            await eventually(lambda: _done(not state.connections))

    assert held == 2


async def _done(is_true: bool) -> bool:
    return is_true


async def _nothing(scope: object, receive: object, send: object) -> None:
    """No request comes."""


async def test_nobody_is_waited_for_after_an_answer(surroundings: Path) -> None:
    """A connection ends when its client takes nothing of its answers for the time, and when it is idle."""
    many = b"GET /docs/openapi.json HTTP/1.1\r\nHost: door\r\n\r\n" * 200
    limits = {"INSTANT_REQUEST_SECONDS": "1", "INSTANT_KEEP_ALIVE_SECONDS": "1"}
    with doors.door(surroundings, servers.free_port(), **limits) as door:
        with connect(door.url) as idle:
            idle.sendall(b"GET /health/live HTTP/1.1\r\nHost: door\r\n\r\n")
            assert b" 200 " in read_to_the_end(idle)
        with connect(door.url) as early:
            early.sendall(b"POST /nothing HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
            assert b" 404 " in early.recv(65536)
            early.sendall(b"no chunk\r\n")
            assert b" 400 " not in read_to_the_end(early)
            assert "Fatal error" not in door.output.read_text(), "the request was answered already"
        with connect(door.url) as deaf:
            deaf.sendall(many)
            assert deaf.recv(1)
            ours = deaf.getsockname()[1]

            async def is_closed() -> bool:
                held = psutil.Process(door.process.pid).net_connections()
                return ours not in {connection.raddr.port for connection in held if connection.raddr}

            await eventually(is_closed)


async def test_a_crowd_of_silent_connections_keeps_nobody_out(surroundings: Path, shop: Shop) -> None:
    """With 1,024 files and 1,100 connections that say nothing or are idle, new clients are served at once."""
    limits = {"INSTANT_REQUEST_SECONDS": "600", "INSTANT_KEEP_ALIVE_SECONDS": "600"}
    whole = f"GET {shop.path} HTTP/1.1\r\nHost: door\r\n\r\n".encode()
    with doors.door(surroundings, servers.free_port(), first=_few_files, **limits) as door, ExitStack() as stack:
        for number in range(1100):
            stack.enter_context(connection := connect(door.url))
            if number < 100:
                connection.sendall(whole)
        statuses = []
        for _ in range(5):
            async with httpx.AsyncClient(timeout=20, verify=servers.TLS) as http:
                statuses.append((await http.get(door.url + shop.path)).status_code)
        paid = await buy(door.url + shop.path)

    assert statuses == [402] * 5
    assert paid == 200


def _few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))


async def buy(url: str) -> int:
    """One purchase by a new client."""
    paid = {"PAYMENT-SIGNATURE": await (await Buyer().fund()).pay(url, TOPIC), "Prefer": "wait=20"}
    async with httpx.AsyncClient(timeout=30, verify=servers.TLS) as http:
        return (await http.post(url, json=TOPIC, headers=paid)).status_code
