"""A facilitator whose answers a test writes by hand, and what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from core.settings import SANDBOX_NETWORK
from tests import practice

VALID = practice.reply(200, b'{"isValid": true}')
HASH = "0x" + "ab" * 32
SETTLED = practice.reply(200, json.dumps({"success": True, "transaction": HASH, "network": SANDBOX_NETWORK}).encode())


@dataclass
class Somebody:
    """A facilitator whose answers are written by hand; `asked` is every request's path with its Authorization.

    A list is said in its order, and its last for ever.
    """

    url: str = ""
    says: dict[str, bytes | list[bytes] | None] = field(default_factory=lambda: {"verify": VALID, "settle": SETTLED})
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def count(self, verb: str) -> int:
        """How often it was asked to."""
        return sum(path == f"/{verb}" for path, _ in self.asked)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
            await reader.readexactly(int(headers.get("Content-Length", headers.get("content-length", "0"))))
            path = head.split()[1]
            self.asked.append((path, headers.get("Authorization")))
            said = self.says.get(path[1:], b"")
            if isinstance(said, list):
                said = said.pop(0) if len(said) > 1 else said[0]
            if said is None:
                await reader.read()
            else:
                writer.write(said)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def somebody(**says: bytes | list[bytes] | None) -> AsyncIterator[Somebody]:
    """Such a facilitator, listening; bytes are said and the connection closed, None says nothing."""
    one = Somebody()
    one.says |= says
    server = await asyncio.start_server(one.converse, "127.0.0.1", 0)
    async with server:
        one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield one


def supports(*kinds: tuple[int, str, str]) -> bytes:
    """An answer of /supported: version, scheme and network of each kind."""
    said = {"kinds": [{"x402Version": version, "scheme": scheme, "network": name} for version, scheme, name in kinds]}
    return practice.reply(200, json.dumps(said).encode())
