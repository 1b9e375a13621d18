"""The model catalog as it is: read, searched, and marked by its operator. `core/catalog/sync.py` brings it up to date.

Functions take a connection and do not commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from core import db
from core.catalog.model import ABSENCE_TOLERATED, Capability, Kind, Model
from core.failures import InvalidInput

sql = db.load("catalog")

Sort = Literal["name", "price", "newest", "context"]
Tier = Literal["free", "budget", "standard", "premium", "unknown"]

# More of a model's past is of no use to anybody who decides what to sell on it.
_HISTORY_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look for; everything that is given must hold.

    Attributes:
        words: each must occur in id, name or description, whatever its case.
        tiers: any of them.
        min_context: tokens.
        capabilities: badges, all of them.
        parameters: request parameters that the model supports, all of them.
        everything: also what cannot be sold now.
        sort: by name, cheapest, newest or longest context first.
    """

    words: Sequence[str] = ()
    modality: Kind | None = None
    provider: str | None = None
    tiers: Sequence[Tier] = ()
    min_context: int | None = None
    capabilities: Sequence[Capability] = ()
    parameters: Sequence[str] = ()
    curated: bool | None = None
    everything: bool = False
    sort: Sort = "name"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Keyset-pagination cursor: the position after a model. `text` or `number` is set, depending on the sort."""

    text: str
    number: Decimal
    id: str


async def find(conn: db.Connection, model_id: str) -> Model | None:
    """The model of this id, sellable or not."""
    row = await sql.find(conn, id=model_id)
    return row and Model.model_validate(row._asdict())


async def find_and_lock_prices(conn: db.Connection, model_id: str) -> Model | None:
    """The same, and no sync changes a price before this transaction ends."""
    await sql.hold_prices(conn)
    return await find(conn, model_id)


async def is_empty(conn: db.Connection) -> bool:
    """Whether no sync ever brought anything."""
    empty: bool = await sql.is_empty(conn)
    return empty


async def page(
    conn: db.Connection, wanted: Filters, *, after: Cursor | None = None, most: int
) -> tuple[list[Any], Cursor | None]:
    """Models as the shelf shows them, and where the next page begins; None at the end.

    Each row has the model's columns but `raw`, and `obstacle`: why it cannot be sold now, None if it can.
    """
    rows = [row async for row in _shelf(conn, wanted, after, most + 1)]
    if len(rows) <= most:
        return rows, None
    last = rows[most - 1]
    return rows[:most], Cursor(last.sort_text, last.sort_number, last.id)


async def show(conn: db.Connection, model_id: str) -> Any:
    """One model as by `page`, whatever its state; None if there is none."""
    return await anext(_shelf(conn, Filters(everything=True), None, 1, model_id), None)


async def history(conn: db.Connection, model_id: str) -> list[Any]:
    """Prices and capabilities of a model since when, newest first, as far back as anybody may want to look."""
    return [row async for row in sql.history(conn, id=model_id, most=_HISTORY_LIMIT)]


async def versions_on(conn: db.Connection, model_ids: Sequence[str]) -> list[Any]:
    """What is for sale on these models: handle, slug, price and what a call can cost by today's prices."""
    return [row async for row in sql.sold_on(conn, model_ids=list(model_ids))]


async def set_flags(
    conn: db.Connection, model_ids: Sequence[str], *, curated: bool | None = None, disabled: bool | None = None
) -> None:
    """Set the operator's own switches, which no sync writes. All of the models, or none.

    Args:
        conn: the transaction to do it in.
        model_ids: which.
        curated: whether the operator recommends them.
        disabled: whether nothing may be sold on them.

    Raises:
        InvalidInput: naming each model that is not in the catalog.
    """
    rows = sql.mark(conn, ids=list(model_ids), curated=curated, disabled=disabled)
    _require(model_ids, {row.id async for row in rows})


async def override_modality(conn: db.Connection, model_ids: Sequence[str], modality: Kind | None) -> None:
    """Say what kind of models these are; None goes back to what is listed. It sorts the shelf, and sells nothing.

    Raises:
        InvalidInput: naming each model that is not in the catalog.
    """
    rows = sql.override_modality(conn, ids=list(model_ids), modality=modality)
    _require(model_ids, {row.id async for row in rows})


async def syncs(conn: db.Connection, most: int) -> list[Any]:
    """The last attempts to bring the catalog up to date, newest first."""
    return [row async for row in sql.syncs(conn, most=most)]


async def quarantine(conn: db.Connection) -> list[Any]:
    """What could not be read in the last list: id or place, reason, since when, and the beginning of the row."""
    return [row async for row in sql.quarantine(conn)]


def _require(wanted: Sequence[str], found: set[str]) -> None:
    if unknown := [model_id for model_id in wanted if model_id not in found]:
        raise InvalidInput(dict.fromkeys(unknown, "is not in the catalog"))


def _shelf(conn: db.Connection, wanted: Filters, after: Cursor | None, most: int, model_id: str | None = None) -> Any:
    return sql.page(
        conn,
        absence_tolerated=ABSENCE_TOLERATED,
        id=model_id,
        words=list(wanted.words),
        modality=wanted.modality,
        provider=wanted.provider,
        tiers=list(wanted.tiers) or None,
        min_context=wanted.min_context,
        capabilities=list(wanted.capabilities) or None,
        parameters=list(wanted.parameters) or None,
        curated=wanted.curated,
        everything=wanted.everything,
        sort=wanted.sort,
        after_text=after and after.text,
        after_number=after and after.number,
        after_id=after and after.id,
        most=most,
    )
