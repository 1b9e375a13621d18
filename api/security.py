"""Put security headers on every answer of the door, also on those that a framework makes."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # A browser believes the Content-Type, and never runs a document as a script.
    "X-Content-Type-Options": "nosniff",
    # What the door answers is data: a browser that shows it loads nothing, and shows it in no frame.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    # The URL of a job may hold its status token.
    "Referrer-Policy": "no-referrer",
}
"""The headers of an answer that sets none of its own; a page or a picture has another Content-Security-Policy."""


_RAW = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


def headed(app: ASGIApp) -> ASGIApp:
    """Add the security headers to every answer of an ASGI application that lacks them."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                message["headers"] += [header for header in _RAW if header[0] not in present]
            await send(message)

        await app(scope, receive, add if scope["type"] == "http" else send)

    return answering
