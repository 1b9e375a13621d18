"""Bringing the model catalog up to date: the provider's whole list, fetched, checked and applied."""

import asyncio
import hashlib
import inspect
import json
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import httpx

from core import catalog_news, db, model, repricing
from core.catalog_news import Bad, News
from core.failures import Failure
from core.model import ID, Model
from core.providers import OPENROUTER
from core.settings import settings

_log = logging.getLogger(__name__)
sql = db.load("catalog_sync")

# Real catalogs are below 1 MB; the provider answers from its edge cache.
_SIZE_LIMIT = 32 * 1024 * 1024
_TIMEOUT = httpx.Timeout(30)
# httpx' timeouts are per read: only this one ends an answer that trickles.
_DEADLINE = 120

# Single models vanish and return; where more than one in five is gone, the list was cut off.
_LARGEST_LOSS = 5

_DEPTH_LIMIT = 64
_STRING = re.compile(rb'"[^"]*"')
_NO_SHAPE = bytes(set(range(256)) - set(b'[]{}"'))
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,512}")

# Of a row that could not be read the operator needs the beginning, not the megabytes.
_SHOWN = 2000

Why = Literal["unreachable", "malformed", "truncated", "empty", "shrunk"]


class Refused(Failure):
    """The provider's list was not applied and everything is as it was. The code is `catalog_refused`.

    Args:
        why: what is wrong with it.
        absent: of a list that shrank: how many present models it lacks.
        present: of how many.
    """

    def __init__(self, why: Why, absent: int = 0, present: int = 0) -> None:
        super().__init__("catalog_refused")
        self.why: Why = why
        self.absent = absent
        self.present = present

    def __str__(self) -> str:
        if self.why != "shrunk":
            return f"{self.code} ({self.why})"
        return (
            f"{self.code} (shrunk): {self.absent} of {self.present} models are not listed any more; "
            "if that is true, say so with: instant catalog sync --accept-loss"
        )

    def __reduce__(self) -> tuple[type["Refused"], tuple[Why, int, int]]:
        return type(self), (self.why, self.absent, self.present)


@dataclass(frozen=True, slots=True)
class Validators:
    """What the provider said of a list, to be asked later for news only (RFC 9110, 8.8)."""

    etag: str | None = None
    last_modified: str | None = None

    def headers(self) -> dict[str, str]:
        """The condition of a request."""
        given = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in given.items() if value}


UNKNOWN = Validators()


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that could not be read: the id it claims, or its place in the list; why; and how it begins."""

    id: str
    reason: str
    listed: str


@dataclass(frozen=True, slots=True)
class Synced:
    """What one sync did, in numbers of models, and the news by name.

    A listed model is new (added), back again (returned), changed or unchanged; a row that could not be read is put
    into quarantine. All are 0 when the provider said that its list is the one that was applied last (not_modified).
    """

    at: datetime
    outcome: Literal["applied", "not_modified"]
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    returned: int = 0
    missing: int = 0
    quarantined: int = 0
    news: News = field(default_factory=News)

    def summary(self) -> str:
        """All of it in one line."""
        if self.outcome == "not_modified":
            return "not modified: the list is the one that was applied last"
        counts = {
            "added": self.added,
            "missing": self.missing,
            "returned": self.returned,
            "repriced": len(self.news.of("repriced")),
            "changed": self.changed,
            "unchanged": self.unchanged,
            "in quarantine": self.quarantined,
            "touched on sale": len(self.news.touched),
        }
        return ", ".join(f"{number} {name}" for name, number in counts.items() if number)


async def sync(pool: db.Pool, *, accept_loss: bool = False) -> Synced:
    """Fetch the provider's list and apply it. Takes the pool because no connection is held during the outside call.

    Args:
        pool: our database.
        accept_loss: believe a list that lacks more than a fifth of the present models.

    Raises:
        Refused: if the list cannot be had or cannot be trusted; that it was refused is recorded.
    """
    try:
        async with pool.connection() as conn:
            known = await sql.validators(conn, source=_source())
        async with httpx.AsyncClient(timeout=_TIMEOUT) as http:
            document, validators = await fetch(http, Validators(*known) if known else UNKNOWN)
        if document is None:
            async with pool.connection() as conn:
                return Synced(await sql.record_not_modified(conn), "not_modified")
        models, quarantined = parse(document)
        async with pool.connection() as conn:
            return await apply(conn, models, quarantined, accept_loss=accept_loss, validators=validators)
    except Refused as refusal:
        refused = refusal
    async with pool.connection() as conn:
        await sql.record_refusal(conn, why=refused.why)
    raise refused


async def fetch(http: httpx.AsyncClient, known: Validators = Validators()) -> tuple[Any, Validators]:
    """The provider's whole list as decoded JSON with its validators; None for the list if it is the one we know.

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
            http.stream(
                "GET", url, params={"output_modalities": "all"}, headers=known.headers(), follow_redirects=False
            ) as answer,
        ):
            if answer.status_code == httpx.codes.NOT_MODIFIED and known.headers():
                return None, known
            if answer.status_code != httpx.codes.OK:
                raise Refused("unreachable")
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > _SIZE_LIMIT:
                    raise Refused("malformed")
        if _is_too_deep(body):
            raise Refused("malformed")
        document = json.loads(body, parse_constant=_no_constant)
        return document, Validators(_validator(answer, "ETag"), _validator(answer, "Last-Modified"))
    except (httpx.HTTPError, TimeoutError):
        why = "unreachable"
    except ValueError:
        pass
    raise Refused(why)


def parse(document: object) -> tuple[list[Model], list[Quarantined]]:
    """Read a list, row by row: a bad row is put aside with its reason, and the rest go on.

    Of rows that claim the same id the first counts if the others say the same; if they contradict, none does.

    Returns:
        The models, and the rows that were put aside.

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
    quarantined: dict[str, Quarantined] = {}
    for position, row in enumerate(rows):
        model_id = row.get("id") if isinstance(row, dict) else None
        if not isinstance(model_id, str) or not ID.fullmatch(model_id):
            # A space is in no id, so no row can take another's place.
            _put_aside(quarantined, f"row {position}", "no_id", row)
        elif model.place(model_id)[0] != OPENROUTER.name:
            _put_aside(quarantined, model_id, "not_theirs", row)
        elif model_id in quarantined or (model_id in models and models[model_id].raw != row):
            _put_aside(quarantined, model_id, "contradiction", row)
        elif not _is_storable(row):
            _put_aside(quarantined, model_id, "unstorable_text", row)
        else:
            models[model_id] = model.read(model_id, row)
    models = {model_id: one for model_id, one in models.items() if model_id not in quarantined}
    if not models:
        raise Refused("empty")
    return list(models.values()), list(quarantined.values())


async def apply(
    conn: db.Connection,
    models: Sequence[Model],
    quarantined: Sequence[Quarantined] = (),
    *,
    accept_loss: bool = False,
    validators: Validators = Validators(),
) -> Synced:
    """Make the catalog equal to OpenRouter's whole list: nothing is deleted, and what is the operator's own, be it a
    column or another provider's row, is never written.

    Raises:
        Refused: if more than a fifth of the present models would go missing; nothing is changed then.
    """
    await sql.take_turns(conn)
    loss = await sql.loss(conn, ids=[one.id for one in models])
    if loss.absent * _LARGEST_LOSS > loss.present and not accept_loss:
        raise Refused("shrunk", loss.absent, loss.present)
    counts = (await sql.apply(conn, rows=model.as_json(models), whole=True))._asdict()
    await sql.put_aside(
        conn,
        ids=[row.id for row in quarantined],
        reasons=[row.reason for row in quarantined],
        listed=[row.listed for row in quarantined],
    )
    for reason, number in Counter(row.reason for row in quarantined).items():
        _log.warning("catalog: %d rows put aside: %s", number, reason)
    counts["quarantined"] = len(quarantined)
    at = await sql.record(
        conn, **counts, etag=validators.etag, last_modified=validators.last_modified, source=_source()
    )
    return Synced(at, "applied", **counts, news=await news(conn, at, quarantined))


async def news(conn: db.Connection, at: datetime, quarantined: Sequence[Quarantined] = ()) -> News:
    """What this transaction brought into the history, after what is for sale on it was repriced."""
    found = await catalog_news.changes(conn, at)
    await repricing.reprice(conn, [change.model_id for change in found if "repriced" in change.events])
    bad = tuple(Bad(row.id, row.reason) for row in quarantined)
    return News(found, await catalog_news.touched(conn, found, at), bad)


def _put_aside(quarantined: dict[str, Quarantined], row_id: str, reason: str, row: object) -> None:
    """Keep the first of an id; ASCII with escapes is what Postgres always takes."""
    quarantined.setdefault(row_id, Quarantined(row_id, reason, json.dumps(row)[:_SHOWN]))


def _is_storable(row: object) -> bool:
    """Whether jsonb takes it: no NUL, no half of a surrogate pair, no number beyond a double."""
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError:
        return False
    # Pairs of backslashes first: a backslash as such, followed by "u0000", is harmless.
    return "\\u0000" not in text.replace("\\\\", "")


def _is_too_deep(body: bytes | bytearray) -> bool:
    """Whether JSON is nested too deep, or not closed. Asked first: the reader recurses, and py_ecc lifts its limit."""
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    brackets = bytes(_STRING.sub(b"", unescaped.translate(None, _NO_SHAPE)))
    for _level in range(_DEPTH_LIMIT):
        inner = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if inner == brackets:
            break
        brackets = inner
    return bool(brackets)


def _no_constant(_name: str) -> None:
    raise ValueError("not JSON")


def _validator(answer: httpx.Response, header: str) -> str | None:
    value = answer.headers.get(header, "")
    return value if _VALIDATOR.fullmatch(value) else None


def _source() -> str:
    """Who is asked and how the answer is read: a new version of ours reads a list anew that did not change."""
    read = f"{settings().openrouter_url}\n{inspect.getsource(model)}"
    return hashlib.sha256(read.encode()).hexdigest()
