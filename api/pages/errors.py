"""Turn problem documents into pages for people, wherever in the door they were made."""

from collections.abc import Mapping
from functools import partial

from fastapi.responses import HTMLResponse
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.pages.negotiation import wants_page
from api.pages.rendering import page
from api.problem_answers import PROBLEM, answering_problems, content_type

# Answers whose kind depends on Accept: pages, and what programs get instead.
_NEGOTIATED = ("text/html", "application/json", PROBLEM)
_KEPT = ("retry-after", "allow", "www-authenticate", "date")

_ADVICE = {
    400: "Nothing was charged.",
    401: "Sign in, and open this page again.",
    404: "It may have been taken off sale, or the address may be incomplete.",
    405: "This address is asked in another way.",
    429: "Nothing was charged. Wait a little, and reload the page.",
    500: "Nothing was charged unless you were given a receipt. If you sent a payment, do not sign another: repeat it.",
    502: "You are not charged twice: the answer's page says what happens to your money.",
    503: "It is not sold now. If you sent a payment, repeat it later: it is charged once or not at all.",
}

_AT_THE_DESK = _ADVICE | {
    400: "Nothing was changed.",
    404: "You have no such thing: the address may be incomplete, or of another account.",
    429: "Nothing was changed. Wait a little, and try again.",
}


def pages_of_problems(app: ASGIApp) -> ASGIApp:
    """Show problems as pages to those who want pages, and say that answers depend on Accept."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "POST"):
            await app(scope, receive, send)
            return
        request = Request(scope)
        is_page, is_read = wants_page(request), scope["method"] == "GET"
        if not is_page and not is_read:
            await app(scope, receive, send)
            return
        shown = partial(problem_page, is_desk=_is_desk(request))
        onward = answering_problems(shown, scope, receive, send) if is_page else send

        async def negotiate(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if content_type(headers) in _NEGOTIATED and "Accept" not in headers.get("vary", ""):
                    headers.add_vary_header("Accept")
            await onward(message)

        await app(scope, receive, negotiate)

    return answering


def _is_desk(request: Request) -> bool:
    return request.url.path.startswith("/desk/")


def problem_page(problem: Mapping[str, object], headers: Mapping[str, str], *, is_desk: bool = False) -> HTMLResponse:
    """Render a problem document (RFC 9457) as a page.

    Args:
        problem: with `status`, `title` and `detail`.
        headers: of the document; those that a page keeps are taken.
        is_desk: whether a creator reads it, at the desk.
    """
    status = int(str(problem["status"]))
    fields = problem.get("fields", {})
    return page(
        "problem.html",
        status=status,
        headers={name: headers[name] for name in _KEPT if name in headers},
        problem=problem,
        fields=fields,
        advice=_AT_THE_DESK.get(status) if is_desk else _ADVICE.get(status),
        is_desk=is_desk,
    )
