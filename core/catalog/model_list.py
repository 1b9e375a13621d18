"""Fetch OpenRouter's model list, parse its rows, and refuse a truncated or malformed list."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import httpx
from pydantic_core import to_json

from core.catalog import openrouter_listing
from core.catalog.model import ID, Model
from core.failures import Failure
from core.net.strict_json import is_bulky, refuse_constant
from core.process.gc_tuning import uncollected
from core.providers import model_ids
from core.providers.registry import OPENROUTER
from core.settings import settings

# Real catalogs are below 1 MB; the provider answers from its edge cache.
_SIZE_LIMIT = 16 * 1024 * 1024
TIMEOUT = httpx.Timeout(30)
# httpx's timeouts apply to each read; only this one ends a response that arrives slowly for ever.
_DEADLINE = 120

_DEPTH_LIMIT = 64
_STRING = re.compile(rb'"[^"]*"')
_NO_SHAPE = bytes(set(range(256)) - set(b'[]{}"'))
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,512}")

# The operator needs the beginning of an unreadable row, not megabytes.
_SHOWN_CHARACTERS = 2000
_SHOWN_ID = 200
_SUSPECT = (b"\\u0000", b"NaN", b"Infinity")

ListDefect = Literal["unreachable", "status", "malformed", "truncated", "empty", "shrunk"]


class ListRefused(Failure):
    """The provider's list was not applied, and nothing changed. The code is `catalog_refused`.

    Args:
        reason: the defect of the list.
        absent: for a list that shrank: how many models it lacks.
        present: the number of models before.
        status: the HTTP status, for an answer that is no list.
    """

    def __init__(self, reason: ListDefect, absent: int = 0, present: int = 0, status: int = 0) -> None:
        super().__init__("catalog_refused")
        self.reason: ListDefect = reason
        self.status = status
        self.absent = absent
        self.present = present

    @property
    def why(self) -> str:
        """The reason, with the status if it is one."""
        return f"status {self.status}" if self.reason == "status" else self.reason

    def __str__(self) -> str:
        if self.reason != "shrunk":
            return f"{self.code} ({self.why})"
        return (
            f"{self.code} (shrunk): {self.absent} of {self.present} models are not listed any more; "
            "if that is true, say so with: instant catalog sync --accept-loss"
        )

    def __reduce__(self) -> tuple[type["ListRefused"], tuple[ListDefect, int, int, int]]:
        return type(self), (self.reason, self.absent, self.present, self.status)


@dataclass(frozen=True, slots=True)
class Validators:
    """The validators of a list, for a conditional request later (RFC 9110, 8.8)."""

    etag: str | None = None
    last_modified: str | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers of a conditional request."""
        conditions = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in conditions.items() if value}


UNKNOWN = Validators()


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that could not be read: its id or position in the list, the reason, and its beginning."""

    id: str
    reason: str
    listed: str


async def fetch(http: httpx.AsyncClient, known: Validators = Validators()) -> tuple[object, Validators]:
    """Fetch the provider's whole list as decoded JSON, with its validators; None for the list if it has not changed.

    Without `output_modalities=all` the provider lists only models that write text.

    Raises:
        ListRefused: unreachable (no answer), status (an answer that is no 200) or malformed (not JSON, or too large).
    """
    url = f"{settings().openrouter_url}/models"
    body = bytearray()
    reason: ListDefect = "malformed"
    try:
        async with (
            asyncio.timeout(_DEADLINE),
            http.stream(
                "GET", url, params={"output_modalities": "all"}, headers=known.headers(), follow_redirects=False
            ) as response,
        ):
            if response.status_code == httpx.codes.NOT_MODIFIED and known.headers():
                return None, known
            if response.status_code != httpx.codes.OK:
                raise ListRefused("status", status=response.status_code)
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _SIZE_LIMIT:
                    raise ListRefused("malformed")
        if is_bulky(body) or _is_too_deep(body):
            raise ListRefused("malformed")
        with uncollected():
            document = json.loads(body, parse_constant=refuse_constant)
        return document, Validators(_validator(response, "ETag"), _validator(response, "Last-Modified"))
    except (httpx.HTTPError, TimeoutError):
        reason = "unreachable"
    except ValueError:
        pass
    raise ListRefused(reason)


def parse(document: object) -> tuple[list[Model], list[Quarantined]]:
    """Parse a list row by row. An unreadable row is quarantined with the reason, and the others are used.

    If rows with the same id are equal, the first is used; if they contradict each other, none is.

    Returns:
        The models, and the quarantined rows.

    Raises:
        ListRefused: the document is not a list, is empty, or says that there is more.
    """
    rows = document.get("data") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(rows, list):
        raise ListRefused("malformed")
    links, total = document.get("links"), document.get("total_count")
    if (isinstance(links, dict) and links.get("next")) or (isinstance(total, int) and total > len(rows)):
        raise ListRefused("truncated")
    with uncollected():
        models, quarantined = _read(rows)
    if not models:
        raise ListRefused("empty")
    return models, quarantined


def _read(rows: Sequence[object]) -> tuple[list[Model], list[Quarantined]]:
    models: dict[str, Model] = {}
    quarantined: dict[str, Quarantined] = {}
    for position, row in enumerate(rows):
        fields = row if isinstance(row, dict) else {}
        model_id = fields.get("id")
        # No id contains a space, so these keys cannot collide with another row's.
        if not isinstance(model_id, str) or not model_id:
            _quarantine(quarantined, f"row {position}", "no_id", row)
        elif not ID.fullmatch(model_id):
            _quarantine(quarantined, f"id {ascii(model_id)[:_SHOWN_ID]}", "unreadable_id", row)
        elif model_ids.provider_of(model_id)[0] != OPENROUTER.name:
            _quarantine(quarantined, model_id, "not_theirs", row)
        elif model_id in quarantined or (model_id in models and models[model_id].raw != row):
            _quarantine(quarantined, model_id, "contradiction", row)
        elif not _is_storable(row):
            _quarantine(quarantined, model_id, "unstorable_text", row)
        else:
            models[model_id] = openrouter_listing.read(model_id, fields)
    kept = [model for model_id, model in models.items() if model_id not in quarantined]
    return kept, list(quarantined.values())


def _quarantine(quarantined: dict[str, Quarantined], row_id: str, reason: str, row: object) -> None:
    """Quarantine a row; the first one of an id is kept. ASCII with escapes can always be stored."""
    quarantined.setdefault(row_id, Quarantined(row_id, reason, json.dumps(row)[:_SHOWN_CHARACTERS]))


def _is_storable(row: object) -> bool:
    """Whether Postgres's jsonb accepts it: no NUL, no half of a surrogate pair, no number beyond a double."""
    try:
        # Several times faster, and enough for nearly every row: none of these occurs even as ordinary text.
        # Remove escaped backslashes first: a backslash followed by the text "u0000" is harmless.
        encoded = to_json(row).replace(rb"\\", b"")
        if not any(mark in encoded for mark in _SUSPECT):
            return True
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError:
        return False
    return "\\u0000" not in text.replace("\\\\", "")


def _is_too_deep(body: bytes | bytearray) -> bool:
    """Whether JSON is nested too deep, or not closed. Checked first, because the parser recurses without a limit."""
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    # Most strings have no bracket, so nothing is left between their quotation marks.
    brackets = _STRING.sub(b"", bytes(unescaped.translate(None, _NO_SHAPE)).replace(b'""', b""))
    for _level in range(_DEPTH_LIMIT):
        inner = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if inner == brackets:
            break
        brackets = inner
    return bool(brackets)


def _validator(response: httpx.Response, header: str) -> str | None:
    value = response.headers.get(header, "")
    return value if _VALIDATOR.fullmatch(value) else None
