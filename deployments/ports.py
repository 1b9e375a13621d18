"""Check ports: whether one is free, which process has it, and whether a server there answers."""

import asyncio
import socket
import time
from urllib.parse import urlsplit

import psutil

from core.failures import Misconfigured


def check_free(ports: dict[str, tuple[str, int]], wait_seconds: float = 0) -> None:
    """Refuse to start on ports that are taken.

    Args:
        ports: host and port by the name of the setting that changes it.
        wait_seconds: seconds to wait for processes that are already ending.

    Raises:
        Misconfigured: names the setting and, if the system reveals it, the holder.
    """
    if len({port for _, port in ports.values()}) < len(ports):
        raise Misconfigured(f"{', '.join(ports)} must be different ports")
    deadline = time.monotonic() + wait_seconds
    for setting, (host, port) in ports.items():
        while not is_free(host, port):
            if time.monotonic() >= deadline:
                raise Misconfigured(taken(setting, host, port))
            time.sleep(0.1)


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def taken(setting: str, host: str, port: int) -> str:
    """Describe a taken port in one sentence."""
    holder = _holder(port)
    return f"{host}:{port} is taken{f' by {holder}' if holder else ''}; set {setting} to a free port"


async def answers(url: str) -> bool:
    """Whether a server at `url` answers a GET over HTTP with any status below 500."""
    address = urlsplit(url)
    writer = None
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            request = f"GET {address.path or '/'} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            await writer.drain()
            status = (await reader.readline()).split()
    except (OSError, TimeoutError, ValueError):
        return False
    finally:
        if writer is not None:
            writer.close()
    return len(status) > 1 and status[0].startswith(b"HTTP/") and status[1] < b"500"


def _holder(port: int) -> str | None:
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS shows it only to root
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                return None
    return None
