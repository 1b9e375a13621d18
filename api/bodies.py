"""Read a request: names in its path, its JSON body and its `Prefer` header."""

import re
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Annotated
from urllib.request import parse_http_list

from fastapi import Path, Request
from pydantic_core import from_json

from core.failures import InvalidInput, TooLarge, UnsupportedBody
from core.settings import settings

# How much of an oversized body is read and discarded, so that the client reads the 413.
_DRAIN_BYTES = 32 * 1024 * 1024

# The standard library's parser takes seconds for parameters that fill a head, and fails on some.
_MEDIA_TYPE_LENGTH = 200

_NOT_JSON = object()
_SECONDS = re.compile("[0-9]+")

_ZDR = "privacy=zdr"

# A handle or slug in a path. No name has other characters, and Postgres cannot store NUL.
NAME = re.compile("[a-z0-9-]{1,60}")
Name = Annotated[str, Path(pattern=f"^{NAME.pattern}$")]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a buyer wants to wait, and whether nobody may keep the inputs (RFC 7240 Prefer).

    Attributes:
        seconds: the wait.
        applied: the preference that it comes from.
        privacy: `privacy=zdr`, if that is wanted: only providers that keep nothing may answer.
    """

    seconds: float
    applied: str | None
    privacy: str | None = None

    def headers(self) -> dict[str, str]:
        """Return `Preference-Applied`, if preferences were applied."""
        applied = [preference for preference in (self.applied, self.privacy) if preference]
        return {"Preference-Applied": ", ".join(applied)} if applied else {}


async def read_json(request: Request, limit: int | None = None) -> object | None:
    """Read the JSON body; None if there is none.

    Args:
        request: the request.
        limit: the most bytes of its body; None: as many as any body may have that holds no pictures or files.

    Raises:
        TooLarge: the body is above the limit.
        UnsupportedBody: it is compressed, or it is not JSON and does not claim to be JSON in UTF-8.
        InvalidInput: it claims to be JSON and is not.
    """
    return parsed_json(request, await read_body(request, settings().body_limit if limit is None else limit))


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body of at most so many bytes, unparsed.

    Raises:
        TooLarge, UnsupportedBody: as `read_json` does, of what is compressed.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedBody
    body, read = bytearray(), 0
    async for chunk in request.stream():
        read += len(chunk)
        if read <= limit:
            body += chunk
        elif read > _DRAIN_BYTES:
            break
    if read > limit:
        raise TooLarge("body_too_large", limit)
    return bytes(body)


def parsed_json(request: Request, body: bytes) -> object | None:
    """Parse the body of a request; None if it is empty.

    Raises:
        UnsupportedBody, InvalidInput: as `read_json` does.
    """
    if not body:
        return None
    try:
        # RFC 8259 allows to ignore a byte order mark.
        parsed: object = from_json(body.removeprefix(BOM_UTF8), allow_inf_nan=False)
    except ValueError:
        parsed = _NOT_JSON
    if parsed is _NOT_JSON and not _claims_json(request.headers.get("content-type", "")):
        raise UnsupportedBody
    if parsed is _NOT_JSON:
        raise InvalidInput({"body": "The request body must be JSON"})
    return parsed


def _claims_json(content_type: str) -> bool:
    """Whether a media type is JSON in UTF-8; without one, the body has to speak for itself. None that is long is."""
    if len(content_type) > _MEDIA_TYPE_LENGTH:
        return False
    message = Message()
    message["Content-Type"] = content_type or "application/json"
    kind, charset = message.get_content_type(), message.get_content_charset("utf-8")
    return (kind == "application/json" or kind.endswith("+json")) and charset in ("utf-8", "utf8", "us-ascii")


def patience(prefer: Sequence[str] | None) -> Patience:
    """Read `Prefer` (RFC 7240, 2 and 4.1 to 4.3), from all its lines; the first of a name counts, unknown ones do not.

    `wait=N` waits N seconds, up to the maximum, also with `respond-async`, which alone waits 0 seconds.
    """
    config = settings()
    preferences: dict[str, str] = {}
    for item in (item for line in prefer or () for item in parse_http_list(line)):
        name, _, value = item.partition(";")[0].partition("=")
        preferences.setdefault(name.strip().lower(), value.strip().strip('"'))
    wait = preferences.get("wait", "")
    privacy = _ZDR if preferences.get("privacy", "").lower() == "zdr" else None
    if _SECONDS.fullmatch(wait):
        seconds = min(float(wait), config.max_wait_seconds)
        return Patience(seconds, f"wait={seconds:.0f}", privacy)
    if "respond-async" in preferences:
        return Patience(0, "respond-async", privacy)
    return Patience(config.answer_seconds, None, privacy)
