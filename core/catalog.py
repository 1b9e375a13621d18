"""The model catalog: the provider's whole list, fetched, checked and applied."""

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import httpx

from core import db
from core.failures import Failure
from core.model import Model, read
from core.settings import settings

__all__ = ["Model", "Refused", "Skipped", "Synced", "apply", "fetch", "find", "is_empty", "parse", "sync"]

_log = logging.getLogger(__name__)
sql = db.load("catalog")

# Real catalogs are below 1 MB; the provider answers from its edge cache.
_SIZE_LIMIT = 32 * 1024 * 1024
_TIMEOUT = httpx.Timeout(30)
# httpx' timeouts are per read: only this one ends an answer that trickles.
_DEADLINE = 120

# Single models vanish and return; where more than one in five is gone, the list was cut off.
_LARGEST_LOSS = 5

_DEPTH_LIMIT = 64
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

_ID = re.compile(r"[\x21-\x7e]{1,200}")

Why = Literal["unreachable", "malformed", "truncated", "empty", "shrunk"]
Skipped = tuple[str, str]


class Refused(Failure):
    """The provider's list was not applied and everything is as it was. The code is `catalog_refused`."""

    def __init__(self, why: Why) -> None:
        super().__init__("catalog_refused")
        self.why: Why = why

    def __str__(self) -> str:
        return f"{self.code} ({self.why})"

    def __reduce__(self) -> tuple[type["Refused"], tuple[Why]]:
        return type(self), (self.why,)


@dataclass(frozen=True)
class Synced:
    """What one sync did, in numbers of models.

    A listed model is new (added), back again (returned), changed or unchanged; a row that could not be read is skipped.
    """

    added: int
    changed: int
    unchanged: int
    returned: int
    missing: int
    skipped: int


async def sync(pool: db.Pool) -> Synced:
    """Fetch the provider's list and apply it. Takes the pool because the outside call comes before any connection.

    Raises:
        Refused: if the list cannot be had or cannot be trusted.
    """
    async with httpx.AsyncClient(timeout=_TIMEOUT) as http:
        document = await fetch(http)
    models, skipped = parse(document)
    async with pool.connection() as conn:
        return await apply(conn, models, skipped)


async def fetch(http: httpx.AsyncClient) -> object:
    """The provider's whole list as decoded JSON.

    Without `output_modalities=all` the provider lists only models that write text.

    Raises:
        Refused: unreachable (no answer, not a 200) or malformed (not JSON, or too large).
    """
    url = f"{settings().openrouter_url}/models"
    body = bytearray()
    why: Why = "malformed"
    try:
        async with (
            asyncio.timeout(_DEADLINE),
            http.stream("GET", url, params={"output_modalities": "all"}, follow_redirects=False) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise Refused("unreachable")
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > _SIZE_LIMIT:
                    raise Refused("malformed")
        if _depth(body) > _DEPTH_LIMIT:
            raise Refused("malformed")
        return json.loads(body, parse_constant=_no_constant)
    except (httpx.HTTPError, TimeoutError):
        why = "unreachable"
    except ValueError:
        pass
    raise Refused(why)


def parse(document: object) -> tuple[list[Model], list[Skipped]]:
    """Read a list, row by row: a bad row is skipped with its reason, and the rest go on.

    Returns:
        The models, and (id or position, reason) of each row that was skipped.

    Raises:
        Refused: if it is no list, is empty, or says itself that there is more.
    """
    rows = document.get("data") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(rows, list):
        raise Refused("malformed")
    links, total = document.get("links"), document.get("total_count")
    if (isinstance(links, dict) and links.get("next")) or (isinstance(total, int) and total > len(rows)):
        raise Refused("truncated")
    models: dict[str, Model] = {}
    skipped: list[Skipped] = []
    for position, row in enumerate(rows):
        model_id = row.get("id") if isinstance(row, dict) else None
        if not isinstance(model_id, str) or not _ID.fullmatch(model_id):
            skipped.append((f"row {position}", "no_id"))
        elif model_id in models:
            skipped.append((model_id, "duplicate_id"))
        elif not _is_storable(row):
            skipped.append((model_id, "unstorable_text"))
        else:
            models[model_id] = read(model_id, row)
    if not models:
        raise Refused("empty")
    return list(models.values()), skipped


async def apply(conn: db.Connection, models: Sequence[Model], skipped: Sequence[Skipped] = ()) -> Synced:
    """Make the catalog equal to a whole list: nothing is deleted, and `disabled` is never written.

    Raises:
        Refused: if more than a fifth of the present models would go missing; nothing is changed then.
    """
    rows = json.dumps([model.model_dump(exclude={"disabled", "missing_since"}) for model in models], default=str)
    await sql.take_turns(conn)
    loss = await sql.loss(conn, ids=[model.id for model in models])
    if loss.absent * _LARGEST_LOSS > loss.present:
        _log.error("catalog refused: %d of %d present models are not listed", loss.absent, loss.present)
        raise Refused("shrunk")
    counts = await sql.apply(conn, rows=rows)
    for reason, number in Counter(reason for _, reason in skipped).items():
        _log.warning("catalog: %d rows skipped: %s", number, reason)
    return Synced(
        added=counts.added,
        changed=counts.changed,
        unchanged=counts.unchanged,
        returned=counts.returned,
        missing=counts.missing,
        skipped=len(skipped),
    )


async def find(conn: db.Connection, model_id: str) -> Model | None:
    """The model of this id, sellable or not."""
    row = await sql.find(conn, id=model_id)
    return row and Model.model_validate(row._asdict())


async def is_empty(conn: db.Connection) -> bool:
    """Whether no sync ever brought anything."""
    empty: bool = await sql.is_empty(conn)
    return empty


def _is_storable(row: object) -> bool:
    """Whether jsonb takes it: no NUL, no half of a surrogate pair, no number beyond a double."""
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError:
        return False
    # Pairs of backslashes first: a backslash as such, followed by "u0000", is harmless.
    return "\\u0000" not in text.replace("\\\\", "")


def _depth(body: bytes | bytearray) -> int:
    """How deep JSON is nested. Asked first: the reader recurses, and py_ecc lifts the limit that would stop it."""
    brackets = _STRING.sub(b"", body).translate(None, _NO_BRACKETS)
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0)


def _no_constant(_name: str) -> None:
    raise ValueError("not JSON")
