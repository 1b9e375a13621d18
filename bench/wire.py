"""Load from a client that costs little: raw HTTP/1.1 over connections that stay open."""

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Burst:
    """What came of many requests: how many per second, the median of their times, and their statuses."""

    per_second: float
    p50_ms: float
    statuses: Counter[int]


def request(method: str, path: str, body: object = None, **headers: str) -> bytes:
    """A request as it goes over the wire; underscores in header names stand for hyphens."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(content)}"]
    lines += ["content-type: application/json"] if content else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "\r\n"]).encode() + content


async def burst(port: int, requests: Sequence[bytes], connections: int) -> Burst:
    """Send all requests over as many connections, each its next as soon as the last is answered."""
    waiting, took, statuses = iter(requests), list[float](), Counter[int]()

    async def converse() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for sent in waiting:
            began = time.perf_counter()
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
            await reader.readexactly(int(length))
            took.append(time.perf_counter() - began)
            statuses[int(head[9:12])] += 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(converse() for _ in range(connections)))
    return Burst(len(took) / (time.perf_counter() - began), statistics.median(took) * 1000, statuses)
