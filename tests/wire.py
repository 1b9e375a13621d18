"""A wire between a process and a server, which can go dead without being cut, or lose a reply."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Wire:
    """Where it begins, as the URL of what it leads to."""

    url: str
    alive: asyncio.Event = field(default_factory=asyncio.Event)
    losing: bytes | None = None

    def lose(self, beginning: bytes) -> None:
        """Cut the connection instead of carrying the next reply that begins so: the server has written it out."""
        self.losing = beginning

    def hang(self, hangs: bool) -> None:
        """Carry nothing any more, but stay connected; or carry everything again."""
        if hangs:
            self.alive.clear()
        else:
            self.alive.set()


@asynccontextmanager
async def to(url: str) -> AsyncIterator[Wire]:
    """A wire to the server of that URL, on a port of its own."""
    parts = urlsplit(url)
    ends: set[asyncio.StreamWriter] = set()

    async def carry(come: asyncio.StreamReader, go: asyncio.StreamWriter, *, replies: bool = False) -> None:
        with suppress(ConnectionError):
            while data := await come.read(65_536):
                await wire.alive.wait()
                if replies and wire.losing and data.startswith(wire.losing):
                    wire.losing = None
                    break
                go.write(data)
                await go.drain()
        go.close()

    async def connect(come: asyncio.StreamReader, go: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        ends.update((go, back))
        await asyncio.gather(carry(come, back), carry(there, go, replies=True))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    wire = Wire(parts._replace(netloc=f"127.0.0.1:{port}").geturl())
    wire.alive.set()
    try:
        yield wire
    finally:
        server.close()
        for end in ends:
            end.close()
