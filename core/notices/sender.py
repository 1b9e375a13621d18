"""Send messages from a process of its own, with a deadline that no plugin and no server can exceed."""

import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
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
_COMMAND = (sys.executable, "-I", "-B", "-m")


@dataclass(frozen=True, slots=True)
class Message:
    """A message for people."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Post:
    """A signed message for a program, ready to be posted."""

    url: str
    headers: dict[str, str]
    body: bytes


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


async def post(posts: Sequence[Post], networks: Iterable[Network], *, seconds: float = _SECONDS) -> list[bool]:
    """Post signed messages to webhooks at once; say of each whether it was taken, which is an answer of 2xx.

    Args:
        posts: at least one.
        networks: networks that may be reached although they are not public.
        seconds: the deadline, after which a message counts as not taken.
    """
    bodies = [{"url": one.url, "headers": one.headers, "body": one.body.decode()} for one in posts]
    _, printed = await _run("core.notices.post_process", networks, seconds, {"posts": bodies}, keeps_output=True)
    taken = {int(line) for line in printed.split()}
    return [number in taken for number in range(len(posts))]


async def _run_sender(url: Private[str], networks: Iterable[Network], seconds: float, **message: str) -> Outcome:
    code, _ = await _run("core.notices.sender_process", networks, seconds, {"url": url.reveal(), **message})
    return _OUTCOMES.get(code, "not_delivered")


async def _run(
    module: str, networks: Iterable[Network], seconds: float, job: dict[str, object], *, keeps_output: bool = False
) -> tuple[int | None, bytes]:
    """Run a sender process on a job; return its exit code, None after the deadline, and what it printed until then.

    What plugins print is discarded, because it may hold secrets.
    """
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE if keeps_output else asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    given = json.dumps({"networks": [str(network) for network in networks]} | job).encode()
    reading = asyncio.create_task(process.communicate(given))
    try:
        done, _ = await asyncio.wait({reading}, timeout=seconds)
    finally:
        if process.returncode is None:
            process.kill()
        printed, _ = await reading
    return process.returncode if done else None, printed or b""
