"""Read a request line: HEAD wherever GET works, whole URLs as targets, and which methods a path has.

RFC 9110, 9.3.2 and 10.2.1; RFC 9112, 3.2.2.
"""

from fastapi import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
_EVENTS = b"text/event-stream"


def read_request_line(app: ASGIApp) -> ASGIApp:
    """Answer HEAD as GET, whose body the HTTP server does not send, and a whole URL as its path."""

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            headers = [(name, value) for name, value in scope["headers"] if not _is_unsafe(name, value)]
            scope = {**scope, "method": "GET", "headers": headers}
        if scope["type"] == "http" and not scope["path"].startswith("/"):
            scope = {**scope, "path": _path_of(scope["path"])}
        await app(scope, receive, send)

    return reading


def _is_unsafe(name: bytes, value: bytes) -> bool:
    """Whether HEAD, which is safe, leaves out a header: its client reads neither what it would buy nor events."""
    return name in (b"payment-signature", b"x-payment") or (name == b"accept" and _EVENTS in value.lower())


def _path_of(target: str) -> str:
    """Return the path of a target that is a whole URL; other targets stay as they are, and nothing is there."""
    scheme, _, rest = target.partition("://")
    return f"/{rest.partition('/')[2]}" if scheme.lower() in ("http", "https") else target


def named(method: str) -> str:
    """Return a method as a word of ours: clients may send any token."""
    return method if method in (*_METHODS, "HEAD", "OPTIONS") else "other"


def allowed(request: Request) -> str:
    """Return the value of `Allow`: the methods that some route at the request's path takes."""
    taken = [method for method in _METHODS if _takes(request, method)]
    return ", ".join(sorted({*taken, "HEAD"} if "GET" in taken else taken))


def _takes(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
