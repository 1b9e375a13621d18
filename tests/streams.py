"""Clients that read server-sent events, and lose their connection."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

EVENTS = {"Accept": "text/event-stream"}


@dataclass(frozen=True)
class Event:
    """One event, or with the name `comment` one comment."""

    name: str
    data: Any = None
    id: str = ""


def parsed(body: bytes) -> Iterator[Event]:
    """The whole events in what was received; half an event does not count (WHATWG HTML, 9.2.6)."""
    for block in body.decode(errors="ignore").split("\n\n")[:-1]:
        lines = [line.partition(": ") for line in block.split("\n")]
        fields = {name: value for name, _, value in lines}
        if "event" in fields:
            yield Event(fields["event"], json.loads(fields["data"]), fields["id"])
        elif "" in fields:
            yield Event("comment", fields[""])


@dataclass
class Stream:
    """An open stream: the answer's head, what has come, and the events in it."""

    answer: httpx.Response
    chunks: AsyncIterator[bytes]
    body: bytes = b""

    @property
    def events(self) -> list[Event]:
        """The whole events that have come."""
        return list(parsed(self.body))

    async def until(self, is_enough: Callable[[list[Event]], bool], seconds: float = 30) -> list[Event]:
        """Read on until there is enough, or the stream ends; all events so far."""
        async with asyncio.timeout(seconds):
            while not is_enough(self.events):
                chunk = await anext(self.chunks, None)
                if chunk is None:
                    break
                self.body += chunk
        return self.events


def has(*names: str) -> Callable[[list[Event]], bool]:
    """Whether there is an event of one of these names."""
    return lambda events: any(event.name in names for event in events)


@asynccontextmanager
async def reading(
    http: httpx.AsyncClient, method: str, url: str, headers: Mapping[str, str] | None = None, **request: Any
) -> AsyncIterator[Stream]:
    """Open a stream, and close it in the middle when the block ends."""
    async with http.stream(method, url, headers={**EVENTS, **(headers or {})}, **request) as answer:
        # Named, because the connection closes when nothing refers to it any more.
        stream = Stream(answer, answer.aiter_bytes())
        yield stream


async def whole(http: httpx.AsyncClient, method: str, url: str, **request: Any) -> list[Event]:
    """All events of a stream, to its end."""
    async with reading(http, method, url, **request) as stream:
        return await stream.until(has("done", "error"))


def text_of(events: Iterable[Event]) -> str:
    """What a client shows: the deltas since the last reset."""
    text = ""
    for event in events:
        text = "" if event.name == "reset" else text + (event.data["text"] if event.name == "delta" else "")
    return text


def last_id(events: Iterable[Event]) -> str:
    """What the client sends as `Last-Event-ID`; empty before the first event."""
    return ["", *(event.id for event in events if event.id)][-1]
