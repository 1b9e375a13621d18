"""Hosts of a drill: network namespaces on one bridge of their own (ip-netns(8)), which can be cut off or slow.

What a host serves on its loopback, this process reaches by `to_host`, and the practice servers are on every host's
loopback by `from_host`: they stand for the internet, which a host that is cut off from its peers still has. A slow host
is joined by a pair of TAP devices, between which a thread here holds back every frame: not every kernel has `tc netem`.
"""

import asyncio
import ctypes
import fcntl
import heapq
import os
import selectors
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_CLONE_NEWNET = 0x40000000  # <linux/sched.h>
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # <linux/if_tun.h>
_FRAME_BYTES = 65_536
_SUBNET = "10.77.0"
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Host:
    """One namespace.

    Attributes:
        name: unique within its network.
        namespace: its name for ip(8).
        address: on the bridge.
        threads: one thread inside it.
    """

    name: str
    namespace: str
    address: str
    threads: ThreadPoolExecutor

    def inside(self, act: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call a function inside: sockets that it opens and processes that it starts belong to the host."""
        return self.threads.submit(partial(act, *arguments, **named)).result()

    @property
    def enter(self) -> Callable[[], None]:
        """Moves the calling thread, and all that it starts, inside: a fork calls it before it becomes its module."""
        return partial(_enter, self.namespace)


@dataclass
class Network:
    """The bridge, in a namespace of its own, and what has been joined to it."""

    prefix: str
    hosts: dict[str, Host] = field(default_factory=dict)

    @property
    def bridge(self) -> str:
        """The namespace of the bridge."""
        return f"{self.prefix}-bridge"

    def add(self, name: str, *, delay: float = 0) -> Host:
        """Add a host.

        Args:
            name: at most eight letters and digits.
            delay: seconds by which each frame from it and to it is held back.
        """
        number = 11 + len(self.hosts)
        namespace = f"{self.prefix}-{name}"
        _ip("netns", "add", namespace)
        threads = ThreadPoolExecutor(1, f"host-{name}", _enter, (namespace,))
        host = Host(name, namespace, f"{_SUBNET}.{number}", threads)
        self.hosts[name] = host
        if delay:
            ends = host.inside(_tap, "eth0"), _inside(self.bridge, partial(_tap, f"p-{name}"))
            threading.Thread(target=_hold_back, args=(ends, delay), daemon=True, name=f"slow-{name}").start()
        else:
            peer = ("type", "veth", "peer", "name", f"p-{name}", "netns", self.bridge)
            _ip("link", "add", "eth0", "netns", namespace, *peer)
        _ip("-n", self.bridge, "link", "set", f"p-{name}", "master", "br0", "up")
        _ip("-n", namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", namespace, "link", "set", "eth0", "up")
        _ip("-n", namespace, "link", "set", "lo", "up")
        return host

    def cut(self, host: Host) -> None:
        """Unplug it from the bridge: its frames are lost without a word, and its processes go on."""
        _ip("-n", self.bridge, "link", "set", f"p-{host.name}", "nomaster")

    def join(self, host: Host) -> None:
        """Plug it in again."""
        _ip("-n", self.bridge, "link", "set", f"p-{host.name}", "master", "br0")


def why_not() -> str | None:
    """Say what this machine lacks for namespaces; None if nothing."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    if shutil.which("ip") is None:
        return "ip(8) of iproute2 is not installed"
    if not Path("/dev/net/tun").exists():
        return "the kernel has no TAP devices"
    return None


@contextmanager
def network() -> Iterator[Network]:
    """Make a bridge; at the end it is deleted with all hosts, whose processes must have ended."""
    made = Network(f"i{os.getpid()}")
    _ip("netns", "add", made.bridge)
    try:
        _ip("-n", made.bridge, "link", "add", "br0", "type", "bridge")
        _ip("-n", made.bridge, "link", "set", "br0", "up")
        yield made
    finally:
        for host in made.hosts.values():
            host.threads.shutdown()
            _ip("netns", "delete", host.namespace)
        _ip("netns", "delete", made.bridge)


async def to_host(stack: AsyncExitStack, host: Host, port: int, address: str = _LOOPBACK) -> None:
    """Serve at this port of our loopback what listens inside the host, until the stack ends."""
    listener = _listener(port)
    await _relay(stack, listener, lambda: host.inside(socket.socket), (address, port))


async def from_host(stack: AsyncExitStack, host: Host, port: int) -> None:
    """Serve at this port of the host's loopback what listens on ours, until the stack ends."""
    await _relay(stack, host.inside(_listener, port), socket.socket, (_LOOPBACK, port))


async def _relay(
    stack: AsyncExitStack, listener: socket.socket, make: Callable[[], socket.socket], to: tuple[str, int]
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = make()
        there.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(there, to)
            far_reader, far_writer = await asyncio.open_connection(sock=there)
        except OSError:
            there.close()
            writer.transport.abort()
            return
        # At the end of the drill the loop cancels what still waits here, and asyncio would print a traceback for each.
        with suppress(asyncio.CancelledError):
            await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))

    server = await asyncio.start_server(serve, sock=listener)
    stack.callback(server.close)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_FRAME_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()
    else:
        # The other direction ends by itself, and with it the connection.
        with suppress(OSError):
            await writer.drain()


def _listener(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((_LOOPBACK, port))
    return made


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _enter(namespace: str) -> None:
    """Python has os.setns from 3.12 on only."""
    opened = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(opened, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
    finally:
        os.close(opened)


def _inside(namespace: str, act: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1, initializer=_enter, initargs=(namespace,)) as threads:
        return threads.submit(act).result()


def _tap(name: str) -> int:
    opened = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(opened, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return opened


def _hold_back(ends: tuple[int, int], delay: float) -> None:
    """Pass frames both ways, each after so many seconds, until a device is gone."""
    waiting: list[tuple[float, int, int, bytes]] = []
    number = 0
    with selectors.DefaultSelector() as selector, suppress(OSError):
        for this, other in (ends, ends[::-1]):
            selector.register(this, selectors.EVENT_READ, other)
        while True:
            ready = selector.select(max(0.0, waiting[0][0] - time.monotonic()) if waiting else None)
            for key, _ in ready:
                with suppress(BlockingIOError):
                    frame = os.read(key.fd, _FRAME_BYTES)
                    heapq.heappush(waiting, (time.monotonic() + delay, number := number + 1, key.data, frame))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, to, frame = heapq.heappop(waiting)
                with suppress(BlockingIOError):
                    os.write(to, frame)
    for end in ends:
        os.close(end)
