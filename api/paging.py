"""Serve lists page by page: cursors that only we can make, and answers that a client may know already."""

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated

from fastapi import Header, Request
from fastapi.responses import JSONResponse, Response

from core.failures import InvalidInput
from core.secrets.vault import vault

# Undescribed: as the only parameter of a route, it has no wrong value that a program could try.
KnownTag = Annotated[str, Header(alias="if-none-match", include_in_schema=False)]


def next_address(request: Request, cursor: str | None) -> str | None:
    """Return path and query of the page after a cursor; None without one."""
    if cursor is None:
        return None
    url = request.url.include_query_params(cursor=cursor)
    return f"{url.path}?{url.query}"


def write_cursor(order: str, place: Sequence[str]) -> str:
    """Write a place in an order, which is a token of that order: no other order reads it."""
    return vault().token(f"cursor by {order}", json.dumps(place, ensure_ascii=False).encode())


def read_cursor(order: str, cursor: str) -> list[str]:
    """Read a place in an order.

    Raises:
        InvalidInput: we did not make it, or it belongs to another order.
    """
    place = vault().read_token(f"cursor by {order}", cursor)
    if place is None:
        raise InvalidInput({"cursor": "this is no cursor of this order; begin without one"})
    parts: list[str] = json.loads(place)
    return parts


def unless_known(response: Response, known: str, *, seconds: int) -> Response:
    """Return a response with its entity tag, or 304 if the client already has it (RFC 9110, 13.1.2).

    Args:
        response: anybody may keep it.
        known: `If-None-Match` of the request.
        seconds: how long it counts as fresh.
    """
    etag = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": f"public, max-age={seconds}"}
    if etag in (tag.strip().removeprefix("W/") for tag in known.split(",")) or known.strip() == "*":
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


def known_or(document: object, known: str, *, seconds: int) -> Response:
    """Answer with a JSON document as `unless_known` does."""
    return unless_known(JSONResponse(document), known, seconds=seconds)
