"""Report what a sync of the catalog changed, and how that affects prompts on sale, for operators.

Functions take a connection and do not commit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Literal

from core import db
from core.amounts import dollars, usdc
from core.catalog import search as catalog
from core.catalog.model import ABSENCE_TOLERATED, Charges
from core.catalog.price_words import price, price_changes
from core.db.queries.catalog import SoldVersion
from core.db.queries.catalog_sync import ModelState, sql
from core.process.gc_tuning import uncollected

Event = Literal["added", "lost", "renamed", "returned", "repriced", "changed"]

# The order of events in a report, and how many lines of it a page shows.
_LINES = 20
_REPORT_ORDER: tuple[Event, ...] = ("lost", "renamed", "repriced", "returned", "changed", "added")
_ROWS = 200
_NAMED = 2

_PRICES = (*Charges.model_fields, "price_tiers", "prices")
# The other fields of the history, with their names in a report.
_LISTS = {
    "input_modalities": "takes",
    "output_modalities": "makes",
    "supported_parameters": "parameters",
    "capabilities": "can",
}
_VALUES = {
    "context_length": "context",
    "max_completion_tokens": "longest answer",
    "not_sellable": "obstacle",
    "expires_on": "served until",
    "alias_target": "stands for",
}


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one model.

    Attributes:
        successor: the id under which a lost model goes on; None if none is known.
        events: at least one; `repriced` means a price differs, `changed` means another field differs.
        before: the old state, in words; empty for a new model.
        now: the new state.
    """

    model_id: str
    events: tuple[Event, ...]
    before: str
    now: str
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class AffectedResource:
    """A published resource whose model changed.

    Attributes:
        price_usdc: its price.
        worst_cost_usd: the most that a call can cost at today's prices.
        means: what its creator should know; empty if nothing.
    """

    handle: str
    slug: str
    model_id: str
    price_usdc: str
    worst_cost_usd: str
    means: str


@dataclass(frozen=True, slots=True)
class QuarantinedModel:
    """A listed row in quarantine: the id it claims, or its position in the list, and the reason."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class News:
    """Everything that changed since the previous list."""

    changes: tuple[Change, ...] = ()
    touched: tuple[AffectedResource, ...] = ()
    quarantined: tuple[QuarantinedModel, ...] = ()

    def of(self, event: Event) -> list[Change]:
        """Return the changes with this event."""
        return [change for change in self.changes if event in change.events]


async def read(conn: db.Connection, at: datetime) -> News:
    """Read the news of the sync at that time."""
    return await between(conn, at, at)


async def between(conn: db.Connection, since: datetime, until: datetime) -> News:
    """Read everything that changed in a time, both ends included. What changed and changed back is no news."""
    model_changes = await changes(conn, since, until)
    quarantined = tuple(QuarantinedModel(row.id, row.reason) for row in await catalog.quarantine(conn))
    return News(model_changes, await touched(conn, model_changes, until), quarantined)


async def changes(conn: db.Connection, since: datetime, until: datetime) -> tuple[Change, ...]:
    """Read the models that changed in a time, by id; a sync changes all its models at one time."""
    rows = [row async for row in sql.news(conn, since=since, until=until)]
    with uncollected():
        stories = ((model_id, list(states)) for model_id, states in groupby(rows, key=lambda row: row.model_id))
        found = [_change(model_id, states[0] if len(states) > 1 else None, states[-1]) for model_id, states in stories]
    return tuple(change for change in found if change.events)


@dataclass(frozen=True, slots=True)
class DayReport:
    """The report of a day, which begins at 03:00 UTC: what changed since the report before, up to `until`."""

    day: date
    since: datetime
    until: datetime
    news: News

    def summary(self) -> str:
        """Summarise it in one line."""
        counts = {event: len(self.news.of(event)) for event in _REPORT_ORDER}
        told = ", ".join(f"{number} {event}" for event, number in counts.items() if number)
        return f"since {self.since:%Y-%m-%d %H:%M} UTC: {told or 'nothing changed'}"


async def report_due(conn: db.Connection) -> DayReport | None:
    """Read the report of today, unless it was made. After it was published, call `reported`."""
    due = await sql.report_due(conn)
    return due and DayReport(due.day, due.since, due.until, await between(conn, due.since, due.until))


async def reported(conn: db.Connection, report: DayReport) -> None:
    """Record that a report was published, so that the next one begins where it ends."""
    await sql.reported(conn, day=report.day, until=report.until)


async def touched(conn: db.Connection, changed_models: Sequence[Change], at: datetime) -> tuple[AffectedResource, ...]:
    """Read the resources on models that changed at that time; first those whose creators should know something."""
    events = {change.model_id: change.events for change in changed_models if change.events != ("added",)}
    resources = [
        AffectedResource(
            row.handle,
            row.slug,
            row.model_id,
            usdc(row.price_atomic),
            dollars(row.worst_cost_usd),
            _consequence(row, events[row.model_id], at),
        )
        for row in await catalog.versions_on(conn, list(events))
    ]
    return tuple(sorted(resources, key=lambda resource: (not resource.means, resource.handle, resource.slug)))


def headline(news: News) -> str:
    """Tell creators of touched resources what they should know, as a Markdown list; empty if nothing."""
    lines = [
        f"- `/@{sold.handle}/{sold.slug}` on `{sold.model_id}`, for {sold.price_usdc} USDC: **{sold.means}**"
        for sold in news.touched
        if sold.means
    ]
    rest = [f"- and {len(lines) - _LINES} more"] if len(lines) > _LINES else []
    return "\n".join([*lines[:_LINES], *rest])


def table(news: News) -> list[dict[str, str]]:
    """Build the rows of a report, most pressing first; beyond a limit only their number."""
    rows = list(_rows(news))
    if len(rows) > _ROWS:
        rest = {"what": "…", "model": f"{len(rows) - _ROWS} more", "was": "", "is": ""}
        return [*rows[:_ROWS], rest]
    return rows


def _rows(news: News) -> Iterator[dict[str, str]]:
    for sold in news.touched:
        resource = f"/@{sold.handle}/{sold.slug} at {sold.price_usdc} USDC"
        yield {"what": "on sale", "model": sold.model_id, "was": resource, "is": f"costs up to ${sold.worst_cost_usd}"}
    for change in sorted(news.changes, key=lambda change: _REPORT_ORDER.index(change.events[0])):
        events = ", ".join(change.events)
        yield {"what": events, "model": change.model_id, "was": change.before, "is": change.now}
    for bad in news.quarantined:
        yield {"what": "in quarantine", "model": bad.id, "was": "", "is": bad.reason}


def _change(model_id: str, old: ModelState | None, new: ModelState) -> Change:
    if old is None:
        return Change(model_id, ("added",), "", price(new))
    prices = any(getattr(old, name) != getattr(new, name) for name in _PRICES)
    others = [name for name in (*_VALUES, *_LISTS) if getattr(old, name) != getattr(new, name)]
    is_event: dict[Event, bool] = {
        "lost": old.listed and not new.listed,
        "renamed": old.listed and not new.listed and new.successor is not None,
        "returned": new.listed and not old.listed,
        "repriced": prices,
        "changed": bool(others),
    }
    return Change(
        model_id,
        tuple(event for event, is_true in is_event.items() if is_true),
        "; ".join(_state(old, new, prices, others, "-")),
        "; ".join(_state(new, old, prices, others, "+")),
        new.successor,
    )


def _state(state: ModelState, other_state: ModelState, prices: bool, others: Sequence[str], sign: str) -> Iterator[str]:
    """Describe one side of a change: only what differs from the other side."""
    if state.listed != other_state.listed:
        yield "listed" if state.listed else "not listed"
        if state.successor is not None:
            yield f"now {state.successor}"
    if prices:
        yield price(state, other_state)
        yield from price_changes(state, other_state)
    for name in others:
        value, other = getattr(state, name), getattr(other_state, name)
        if name in _VALUES:
            yield f"{_VALUES[name]} {'-' if value is None else value}"
        elif only_here := _not_in(other, value):
            named = (
                " ".join(sign + item for item in only_here) if len(only_here) <= _NAMED else f"{sign}{len(only_here)}"
            )
            yield f"{_LISTS[name]} {named}"


def _not_in(other: str, value: str) -> list[str]:
    """List the items of one list that another lacks, in order; both are as long as the provider likes."""
    known = set(other.split())
    return [item for item in value.split() if item not in known]


def _consequence(row: SoldVersion, events: Sequence[Event], at: datetime) -> str:
    if row.not_sellable:
        return f"not sold: its model is {row.not_sellable}"
    if not row.serves:
        return "not sold: its model does not serve what it asks for any more"
    if "lost" in events:
        end = f"sold until {at + ABSENCE_TOLERATED:%Y-%m-%d %H:%M} UTC, unless its model is listed again"
        return f"{end}; it is {row.successor} now: publish on that" if row.successor else end
    if row.is_certain_loss:
        return _LOSS[row.allows_loss]
    if row.worst_cost_usd > Decimal(row.price_atomic).scaleb(-6):
        return "a call can cost more than it sells for"
    return ""


_LOSS = {
    False: "not sold until its price is raised: hardly any call earns its cost",
    True: "hardly any call earns its cost, which its creator agreed to",
    None: "still sold, but hardly any call earns its cost; whether its creator agreed to that was not recorded",
}
