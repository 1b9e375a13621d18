"""Generate load with a cheap client: raw HTTP/1.1 over persistent connections."""

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Burst:
    """The result of many requests: requests per second, the median of their durations, and their statuses."""

    per_second: float
    p50_ms: float
    statuses: Counter[int]


def request(method: str, path: str, body: object = None, **headers: str) -> bytes:
    """Encode a request; underscores in header names stand for hyphens."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(content)}"]
    lines += ["content-type: application/json"] if content else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "\r\n"]).encode() + content


class Line:
    """One connection, opened when it is first used."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: bytes) -> int:
        """Send a request and read its response to the end; return the status."""
        if self._streams is None or self._streams[0].at_eof():
            # Servers close idle connections after some seconds, which every HTTP client has to detect.
            self.close()
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in head:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        else:
            length = head.partition(b"content-length:")[2].partition(b"\r")[0]
            await reader.readexactly(int(length))
        return int(head[9:12])

    def close(self) -> None:
        """Close the connection."""
        if self._streams:
            self._streams[1].close()


class Lines:
    """A pool of connections, as many as are needed at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Line] = []

    async def ask(self, sent: bytes) -> int:
        """Return the status of the response; 0 if there is none."""
        line = self._idle.pop() if self._idle else Line(self._port)
        try:
            status = await line.ask(sent)
        except (OSError, EOFError):
            line.close()
            return 0
        self._idle.append(line)
        return status

    def close(self) -> None:
        """Close all connections."""
        while self._idle:
            self._idle.pop().close()


async def burst(port: int, requests: Sequence[bytes], connections: int) -> Burst:
    """Send all requests over these connections, each with the next one as soon as the last is answered."""
    waiting, took, statuses = iter(requests), list[float](), Counter[int]()

    async def converse() -> None:
        line = Line(port)
        for sent in waiting:
            began = time.perf_counter()
            status = await line.ask(sent)
            took.append(time.perf_counter() - began)
            statuses[status] += 1
        line.close()

    began = time.perf_counter()
    await asyncio.gather(*(converse() for _ in range(connections)))
    return Burst(len(took) / (time.perf_counter() - began), statistics.median(took) * 1000, statuses)
