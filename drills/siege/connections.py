"""Attacks by connections: a thousand that say nothing or stop in the middle, and clients that hang up."""

import asyncio
import random
from collections import Counter
from contextlib import suppress

from drills.siege.grounds import Attack, Grounds, Said, connect

HELD = 1000
"""Connections that are held open, at `ulimit -n 1024`."""

_ADDRESSES = 5
# So many new ones a second at first; one that is closed comes back after a pause.
_OPENED_PER_SECOND = 100
_PAUSE_SECONDS = 10
_AT_ONCE_SECONDS = 1

_HEAD = "POST {path} HTTP/1.1\r\nHost: door\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"


async def hold(grounds: Grounds, said: Counter[str]) -> None:
    """Hold all of them until cancelled: silent ones, half heads and half bodies from several addresses."""
    head = _HEAD.format(path=grounds.shop.path).encode()
    parts = (b"", b"GET / HT", head, head + b"\r\n{")
    async with asyncio.TaskGroup() as group:
        for number in range(HELD):
            part = parts[number % len(parts)]
            group.create_task(_hold_one(grounds, f"127.0.3.{1 + number % _ADDRESSES}", part, said))
            await asyncio.sleep(1 / _OPENED_PER_SECOND)


async def _hold_one(grounds: Grounds, source: str, part: bytes, said: Counter[str]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        with suppress(OSError):
            reader, writer = await connect(grounds, source)
            try:
                writer.write(part)
                await reader.read()
            finally:
                writer.close()
        said["closed at once" if loop.time() - began < _AT_ONCE_SECONDS else "closed later"] += 1
        await asyncio.sleep(_PAUSE_SECONDS)


async def _hang_up(grounds: Grounds, _dice: random.Random) -> Said:
    """Close the connection in the middle of a body."""
    _, writer = await connect(grounds, "127.0.2.30")
    writer.write(_HEAD.format(path=grounds.shop.path).encode() + b'\r\n{"to')
    await writer.drain()
    writer.close()
    return "hung up"


ATTACKS = (Attack("hang-ups", 5, _hang_up),)
