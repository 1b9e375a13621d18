"""Sync the model catalog: fetch the provider's whole list, check it and apply it."""

import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import httpx

from core import db
from core.catalog import changes as catalog_changes
from core.catalog import model as catalog_model
from core.catalog import openrouter_listing
from core.catalog import search as catalog
from core.catalog.changes import News, QuarantinedModel
from core.catalog.model import Model
from core.catalog.model_list import TIMEOUT, UNKNOWN, ListRefused, Quarantined, Validators, fetch, parse
from core.db.queries.catalog_sync import sql
from core.settings import settings

_log = logging.getLogger(__name__)

Reprice = Callable[[db.Connection, Sequence[str]], Awaitable[None]]
"""Called with the ids of models whose price changed, in the transaction that changes it."""

# Single models vanish and return; if more than one in five is missing, the list was cut off.
_LARGEST_LOSS = 5


@dataclass(frozen=True, slots=True)
class Synced:
    """The result of one sync, in numbers of models, and the news by name; `at` is the time of the news, None without.

    A listed model is added, returned, changed or unchanged; an unreadable row is in quarantine. All are 0 if the
    provider answered that its list has not changed since the last sync (not_modified). A list in which nothing is new
    leaves no trace in the database, except that once a week, and after an upgrade, its validators are recorded anew.
    """

    outcome: Literal["applied", "not_modified"]
    at: datetime | None = None
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    returned: int = 0
    missing: int = 0
    quarantined: int = 0
    news: News = field(default_factory=News)

    def summary(self) -> str:
        """Summarise the result in one line."""
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


async def sync(pool: db.Pool, reprice: Reprice, *, accept_loss: bool = False) -> Synced:
    """Fetch the provider's list and apply it. Takes the pool, because no connection is held during the request.

    Args:
        pool: our database.
        reprice: reprices versions in the same transaction, given the models whose price changed.
        accept_loss: apply a list that lacks more than a fifth of the present models.

    Raises:
        ListRefused: the list cannot be fetched or trusted; the refusal is recorded.
    """
    try:
        async with pool.connection() as conn:
            known = await sql.validators(conn, source=_source())
        async with httpx.AsyncClient(timeout=TIMEOUT) as http:
            document, validators = await fetch(http, Validators(*known) if known else UNKNOWN)
        if document is None:
            return Synced("not_modified")
        models, quarantined = parse(document)
        async with pool.connection() as conn:
            return await apply(conn, reprice, models, quarantined, accept_loss=accept_loss, validators=validators)
    except ListRefused as refusal:
        refused = refusal
    async with pool.connection() as conn:
        await sql.record_refusal(conn, why=refused.why)
    raise refused


async def apply(
    conn: db.Connection,
    reprice: Reprice,
    models: Sequence[Model],
    quarantined: Sequence[Quarantined] = (),
    *,
    accept_loss: bool = False,
    validators: Validators = UNKNOWN,
) -> Synced:
    """Make the catalog equal to OpenRouter's whole list. Nothing is deleted, and neither the operator's flags nor
    other providers' rows change. After the first list, what the rule chooses is recommended.

    Raises:
        ListRefused: more than a fifth of the present models would go missing; then nothing changes.
    """
    await sql.take_turns(conn)
    is_first = await sql.is_first(conn)
    loss = await sql.loss(conn, ids=[model.id for model in models])
    if loss.absent * _LARGEST_LOSS > loss.present and not accept_loss:
        raise ListRefused("shrunk", loss.absent, loss.present)
    counts = (await sql.apply(conn, rows=catalog_model.as_json(models), whole=True))._asdict()
    if is_first:
        await catalog.curate_by_rule(conn)
    is_quarantine_new = await _is_new(conn, quarantined)
    await sql.put_aside(
        conn,
        ids=[row.id for row in quarantined],
        reasons=[row.reason for row in quarantined],
        listed=[row.listed for row in quarantined],
    )
    for reason, number in Counter(row.reason for row in quarantined).items():
        _log.warning("catalog: %d rows put aside: %s", number, reason)
    is_new = is_quarantine_new or any(counts[name] for name in ("added", "changed", "returned", "missing"))
    counts["quarantined"] = len(quarantined)
    if not is_new and await sql.is_recorded(conn, source=_source()):
        return Synced("applied", **counts)
    at = await sql.record(
        conn, **counts, etag=validators.etag, last_modified=validators.last_modified, source=_source()
    )
    return Synced("applied", at if is_new else None, **counts, news=await news(conn, reprice, at, quarantined))


async def news(conn: db.Connection, reprice: Reprice, at: datetime, quarantined: Sequence[Quarantined] = ()) -> News:
    """Reprice the versions on sale, and read the changes that this transaction wrote."""
    changes = await catalog_changes.changes(conn, at, at)
    await reprice(conn, [change.model_id for change in changes if "repriced" in change.events])
    bad = tuple(QuarantinedModel(row.id, row.reason) for row in quarantined)
    return News(changes, await catalog_changes.touched(conn, changes, at), bad)


async def _is_new(conn: db.Connection, quarantined: Sequence[Quarantined]) -> bool:
    """Whether other rows are unreadable than those in quarantine."""
    before = {(row.id, row.reason, row.listed) for row in await catalog.quarantine(conn)}
    return before != {(row.id, row.reason, row.listed) for row in quarantined}


def _source() -> str:
    """Identify the server and our parser. When either changes, the list is fetched again even if it has not changed."""
    identity = f"{settings().openrouter_url}\n{openrouter_listing.READER_VERSION}"
    return hashlib.sha256(identity.encode()).hexdigest()
