"""Deliver an answer of the practice OpenRouter: as a document or as events, whole or broken by a fault."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from sandbox import openrouter_answers as answers
from sandbox.openrouter_faults import Fault, error_body

_PROCESSING: Final = ": OPENROUTER PROCESSING\n\n"
STAMP: Final = "@stamp"
HTML: Final = "<!doctype html><title>Just a moment...</title>"

# Called with whether the answer was sent to its end; a client that disconnects cancels the generation.
Over = Callable[[bool], None]
Events = Callable[[dict[str, Any], Fault, str], Iterator[str]]


class Cut(Response):
    """A response that announces a body and disconnects in the middle of it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = self.body[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})


def deliver(
    completion: dict[str, Any],
    fault: Fault,
    *,
    stream: bool,
    headers: dict[str, str],
    model: str,
    over: Over,
    events: Events | None = None,
    gate: asyncio.Event | None = None,
) -> Response:
    """Build the HTTP response.

    Args:
        completion: the chat completion.
        fault: the fault of its delivery.
        stream: whether events were requested.
        headers: in addition to the content type.
        model: the requested model, which errors name.
        over: called when the answer was sent, or the client left.
        events: makes the events; None for OpenRouter's format.
        gate: what the fault's option `gate` waits at, after so many events.
    """
    text = answers.dumps(completion)
    as_json: dict[str, Any] = {"media_type": "application/json", "headers": headers}
    match fault.name:
        case "html":
            over(True)
            return Response(HTML, media_type="text/html", headers=headers)
        case "comment":
            over(True)
            return Response(_PROCESSING * 2 + text, **as_json)
        case "whitespace":
            return StreamingResponse(_kept_alive(text, "\n         ", fault.seconds, over), **as_json)
    if not stream or fault.name == "plain" or "plain" in fault.options:
        over(fault.name != "cut")
        return Cut(text, **as_json) if fault.name == "cut" else Response(text, **as_json)
    told = list((events or _events)(completion, fault, model))
    headers |= {"Cache-Control": "no-cache"}
    as_events: dict[str, Any] = {"media_type": "text/event-stream", "headers": headers}
    if fault.name == "cut":
        over(False)
        return Cut("".join(told), **as_events)
    return StreamingResponse(_paced(told, fault, over, gate), **as_events)


async def _kept_alive(text: str, sign: str, seconds: float, over: Over) -> AsyncIterator[str]:
    """Yield five keep-alives, and then the answer."""
    is_whole = False
    try:
        for _ in range(5):
            yield sign
            await asyncio.sleep(seconds / 5)
        yield text
        is_whole = True
    finally:
        over(is_whole)


async def _paced(events: list[str], fault: Fault, over: Over, gate: asyncio.Event | None) -> AsyncIterator[str]:
    """Yield the events at the fault's pace.

    `drip` and `stamps` spread them, `comments` delays them, `silent` never ends. With the option `gate`, the others
    wait until the gate is open.
    """
    is_whole = False
    try:
        if fault.name == "comments":
            for _ in range(5):
                yield _PROCESSING
                await asyncio.sleep(fault.seconds / 5)
        for number, event in enumerate(events):
            if fault.name == "silent" and number == len(events) // 2:
                await asyncio.Event().wait()
            if gate and fault.options.get("gate") == str(number):
                await gate.wait()
            if fault.name in ("drip", "stamps"):
                await asyncio.sleep(fault.seconds / len(events))
            yield event.replace(STAMP, f"~{time.monotonic_ns()}~")
        is_whole = True
    finally:
        over(is_whole)


def _events(completion: dict[str, Any], fault: Fault, model: str) -> Iterator[str]:
    """Yield server-sent events: comments, deltas, one last chunk with usage, `[DONE]`."""
    head = {key: completion[key] for key in ("id", "provider", "model", "created")} | {
        "object": "chat.completion.chunk"
    }
    yield _PROCESSING
    for choice in completion["choices"] or ():
        message = choice["message"]
        deltas = list(_deltas(message))
        for number, delta in enumerate(deltas):
            if fault.name == "error_chunk" and number == len(deltas) // 2:
                broken = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
                yield _event(head | {"error": error_body(fault, model, ""), "choices": [broken]})
                return
            yield _event(head | {"choices": [{"index": 0, "delta": {"role": "assistant"} | delta, **_OPEN}]})
        last = {"role": "assistant", "content": ""}
        end = {key: choice[key] for key in ("finish_reason", "native_finish_reason")}
        failure = {"error": choice["error"]} if "error" in choice else {}
        yield _event(head | failure | {"choices": [{"index": 0, "delta": last} | end]})
    if completion["choices"]:
        yield _event(head | {"choices": [], "usage": completion["usage"]})
    if fault.name != "no_done":
        yield "data: [DONE]\n\n"


_OPEN: Final = {"finish_reason": None, "native_finish_reason": None}


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Split a message into pieces, each field as OpenRouter streams it."""
    for name in ("reasoning", "refusal"):
        if message.get(name):
            yield {"content": "", name: message[name]}
    content = message["content"]
    if isinstance(content, list):
        yield {"content": content}
    else:
        for number, word in enumerate((content or "").split(" ")):
            yield {"content": (" " if number else "") + word}
    for name in ("images", "annotations", "tool_calls"):
        if message.get(name):
            yield {"content": "", name: message[name]}
    if audio := message.get("audio"):
        half = len(audio["data"]) // 8 * 4
        yield {"audio": {"id": "audio-1", "data": audio["data"][:half], "transcript": audio["transcript"]}}
        yield {"audio": {"data": audio["data"][half:]}}


def _event(chunk: dict[str, Any]) -> str:
    return f"data: {answers.dumps(chunk)}\n\n"
