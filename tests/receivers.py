"""Somebody who is told: a server that keeps what was posted to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Receiver:
    """Where it listens, what it answers, and every request so far.

    Attributes:
        posted: the path of each, and its body read as JSON.
        messages: the headers of each by lower-case name, and its body as it came.
        answer: status and phrase of what it answers from now on.
    """

    host: str
    port: int
    posted: list[tuple[str, Any]] = field(default_factory=list)
    messages: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: bytes = b"200 OK"

    def url(self, scheme: str = "json", host: str = "") -> str:
        """An apprise URL that leads here."""
        return f"{scheme}://{host or self.host}:{self.port}/here"


@asynccontextmanager
async def receiver(host: str = "127.0.0.1", answer: bytes = b"200 OK", *headers: bytes) -> AsyncIterator[Receiver]:
    """A server that answers everything alike.

    Args:
        host: where to listen.
        answer: status and phrase; empty: it says nothing until the other side has gone.
        headers: of the answer.
    """

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(sum(lengths))
            pairs = (line.decode().partition(":") for line in head.split(b"\r\n")[1:] if line)
            here.messages.append(({name.lower(): value.strip() for name, _, value in pairs}, body))
            here.posted.append((head.split()[1].decode(), json.loads(body) if body else None))
            if here.answer:
                lines = [b"HTTP/1.1 " + here.answer, b"content-length: 0", b"connection: close", *headers]
                writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
                await writer.drain()
            else:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, host, 0)
    here = Receiver(host, server.sockets[0].getsockname()[1], answer=answer)
    async with server:
        yield here
