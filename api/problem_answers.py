"""Answer problem documents in another shape, wherever in the door they were made."""

import json
from collections.abc import Callable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

PROBLEM = "application/problem+json"


def answering_problems(
    answer: Callable[[Mapping[str, object], Mapping[str, str]], Response], scope: Scope, receive: Receive, send: Send
) -> Send:
    """Return a `send` that holds back a problem document and sends what `answer` makes of it; all else goes through.

    Args:
        answer: takes the document and its headers.
        scope: of the request.
        receive: of the request.
        send: of the client.
    """
    held: Message | None = None
    body = bytearray()

    async def hold(message: Message) -> None:
        nonlocal held
        if message["type"] == "http.response.start":
            if content_type(MutableHeaders(scope=message)) == PROBLEM:
                held = message
                return
        elif held is not None:
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                await answer(json.loads(bytes(body)), MutableHeaders(scope=held))(scope, receive, send)
            return
        await send(message)

    return hold


def content_type(headers: Mapping[str, str]) -> str:
    """Return the media type without its parameters."""
    return headers.get("content-type", "").partition(";")[0]
