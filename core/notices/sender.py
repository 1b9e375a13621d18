"""Send one message from a process of its own, with a deadline that no plugin can exceed."""

import asyncio
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from core.notices import sender_process
from core.notices.egress_guard import Network
from core.secrets.private import Private

Outcome = Literal["delivered", "not_delivered", "not_understood"]

_SECONDS = 30.0
_OUTCOMES: dict[int | None, Outcome] = {
    sender_process.DELIVERED: "delivered",
    sender_process.NOT_UNDERSTOOD: "not_understood",
}

# -I and an empty environment, so that plugins cannot read anything of ours, such as master keys.
_COMMAND = (sys.executable, "-I", "-B", "-m", "core.notices.sender_process")


@dataclass(frozen=True, slots=True)
class Message:
    """A message for people."""

    title: str
    body: str


async def send(
    url: Private[str], message: Message, networks: Iterable[Network], *, seconds: float = _SECONDS
) -> Outcome:
    """Send one message to one apprise URL.

    Args:
        url: the URL, with its secrets.
        message: the message.
        networks: networks that may be reached although they are not public.
        seconds: the deadline, after which the message counts as not delivered.
    """
    return await _run_sender(url, networks, seconds, title=message.title, body=message.body)


async def is_supported(url: Private[str]) -> bool:
    """Whether apprise supports a URL. Nothing is sent."""
    return await _run_sender(url, (), _SECONDS) == "delivered"


async def _run_sender(url: Private[str], networks: Iterable[Network], seconds: float, **message: str) -> Outcome:
    job = {"url": url.reveal(), "networks": [str(network) for network in networks], **message}
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    try:
        async with asyncio.timeout(seconds):
            await process.communicate(json.dumps(job).encode())
    except TimeoutError:
        return "not_delivered"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _OUTCOMES.get(process.returncode, "not_delivered")
