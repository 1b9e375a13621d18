"""Serve HEAD wherever GET works, and say which methods a path has (RFC 9110, 9.3.2 and 10.2.1)."""

from fastapi import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
# HEAD is safe, so it never pays: its client could not read what it bought.
_PAYMENTS = (b"payment-signature", b"x-payment")


def serving_head(app: ASGIApp) -> ASGIApp:
    """Answer HEAD as GET; the HTTP server, which knows the request as HEAD, sends no body."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            headers = [(name, value) for name, value in scope["headers"] if name not in _PAYMENTS]
            scope = {**scope, "method": "GET", "headers": headers}
        await app(scope, receive, send)

    return served


def allowed(request: Request) -> str:
    """Return the value of `Allow`: the methods that some route at the request's path takes."""
    taken = [method for method in _METHODS if _takes(request, method)]
    return ", ".join(sorted({*taken, "HEAD"} if "GET" in taken else taken))


def _takes(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
