"""Search the model catalog, and set the operator's flags. `core/catalog/sync.py` keeps it up to date.

Functions take a connection and do not commit.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from core import db
from core.catalog.model import ABSENCE_TOLERATED, Capability, Model
from core.db.queries.catalog import ListedModel as ListedModel
from core.db.queries.catalog import PastModel as PastModel
from core.db.queries.catalog import QuarantinedRow as QuarantinedRow
from core.db.queries.catalog import SoldVersion as SoldVersion
from core.db.queries.catalog import SyncAttempt as SyncAttempt
from core.db.queries.catalog import sql
from core.db.states import Modality, ModelModality, Tier
from core.failures import InvalidInput

Sort = Literal["relevance", "name", "price", "newest", "context", "popular"]

_SUGGESTIONS = 3
_SUCCESS_DAYS = 30
# With fewer calls, one failure would move the rate by more than 5 %.
_SUCCESS_CALLS = 20
_FAR_DEARER = 10
# More than the rule recommends.
_CURATED = 100

# Older history does not help anybody decide what to sell.
_HISTORY_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters; a model must match all that are given.

    Attributes:
        search: words, each of which must fit: in id or name, also misspelt, as a trait (cheap, vision), or in the
            description.
        tiers: any of them.
        min_context: tokens.
        capabilities: badges, all of them.
        parameters: request parameters that the model supports, all of them.
        ids: any of them, to compare a few.
        sells_as: what a prompt on it can be published as; `json` if its provider can hold it to JSON.
        takes: kinds of input, all of them.
        most_usd: US dollars per token of the dearest output; fees per request and search are spread over 1000 tokens.
        expires_before: its provider has announced its end, before this day (UTC).
        reasoning: whether it can reason before it answers.
        cutoff_from: it knows of the time up to this day or longer, as its provider says.
        open_weights: whether its weights are published.
        everything: include models that cannot be sold now.
        sort: by relevance, by name, cheapest, newest or longest context first, or popular: by the paid calls that
            were answered in the last 30 days, then recommended ones. None: by relevance if there is a search, else by
            name.
    """

    search: str = ""
    modality: ModelModality | None = None
    provider: str | None = None
    tiers: Sequence[Tier] = ()
    min_context: int | None = None
    capabilities: Sequence[Capability] = ()
    parameters: Sequence[str] = ()
    curated: bool | None = None
    ids: Sequence[str] = ()
    sells_as: Modality | None = None
    takes: Sequence[str] = ()
    most_usd: Decimal | None = None
    expires_before: date | None = None
    reasoning: bool | None = None
    cutoff_from: date | None = None
    open_weights: bool | None = None
    everything: bool = False
    sort: Sort | None = None

    @property
    def order(self) -> Sort:
        """The sort order."""
        return self.sort or ("relevance" if self.search.strip() else "name")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Keyset-pagination cursor: the position after a model. `text` or `number` is set, depending on the sort."""

    text: str
    number: Decimal
    id: str


async def find(conn: db.Connection, model_id: str) -> Model | None:
    """Find a model by id, sellable or not."""
    row = await sql.find(conn, id=model_id)
    return row and Model.model_validate(row._asdict())


async def find_and_lock_prices(conn: db.Connection, model_id: str) -> Model | None:
    """Find a model by id, and keep syncs from changing prices until this transaction ends."""
    await sql.hold_prices(conn)
    return await find(conn, model_id)


async def not_in_catalog(conn: db.Connection, model_id: str) -> str:
    """Say that there is no such model, and name up to three that may be meant and can be sold on now."""
    alike = [
        row.id async for row in sql.similar(conn, id=model_id, absence_tolerated=ABSENCE_TOLERATED, most=_SUGGESTIONS)
    ]
    hint = f"; did you mean {' or '.join(alike)}?" if alike else ""
    return f"is not in the catalog{hint}"


async def is_empty(conn: db.Connection) -> bool:
    """Whether the catalog has never been filled."""
    return await sql.is_empty(conn)


async def page(
    conn: db.Connection, filters: Filters, *, after: Cursor | None = None, most: int
) -> tuple[list[ListedModel], Cursor | None]:
    """Read a page of models, and the cursor of the next page; None at the end.

    Each row has the model's columns except `raw`, and `obstacle`: why it cannot be sold now, None if it can.
    """
    rows = [row async for row in _page(conn, filters, after, most + 1)]
    if len(rows) <= most:
        return rows, None
    last = rows[most - 1]
    return rows[:most], Cursor(last.sort_text, last.sort_number, last.id)


async def show(conn: db.Connection, model_id: str) -> ListedModel | None:
    """Read one model with the columns of `page`, whatever its state; None if there is none."""
    return await anext(_page(conn, Filters(everything=True), None, 1, model_id), None)


async def history(conn: db.Connection, model_id: str) -> list[PastModel]:
    """Read a model's past prices and capabilities, newest first, up to a limit."""
    return [row async for row in sql.history(conn, id=model_id, most=_HISTORY_LIMIT)]


async def success_rate(conn: db.Connection, model_id: str) -> Decimal | None:
    """Compute the share of whole answers among the paid calls to a model here, without those that were declined.

    It is of the last 30 days, by the rollup of the usage log; None if there were fewer than 20 calls.
    """
    return await sql.success_rate(conn, id=model_id, days=_SUCCESS_DAYS, least_calls=_SUCCESS_CALLS)


async def far_cheaper(conn: db.Connection, model_id: str, modality: Modality) -> ListedModel | None:
    """Find the cheapest recommended model that sells as this, if a model costs ten times as much per output token.

    Models that cost nothing are left out: they are no measure of a price.
    """
    own = await show(conn, model_id)
    shelf, _ = await page(conn, Filters(curated=True, sells_as=modality, sort="price"), most=_CURATED)
    cheapest = next((row for row in shelf if row.output_usd), None)
    if own is None or own.output_usd is None or cheapest is None or cheapest.output_usd is None:
        return None
    return cheapest if own.output_usd >= _FAR_DEARER * cheapest.output_usd else None


async def versions_on(conn: db.Connection, model_ids: Sequence[str]) -> list[SoldVersion]:
    """List what is on sale on these models: handle, slug, price and the most that a call can cost at today's prices."""
    return [row async for row in sql.sold_on(conn, model_ids=list(model_ids))]


async def set_flags(
    conn: db.Connection, model_ids: Sequence[str], *, curated: bool | None = None, disabled: bool | None = None
) -> None:
    """Set the operator's flags, which no sync changes. Sets them on all of the models, or on none.

    Args:
        conn: the transaction.
        model_ids: the models.
        curated: whether the operator recommends them.
        disabled: whether nothing may be sold on them.

    Raises:
        InvalidInput: names each model that is not in the catalog.
    """
    rows = sql.mark(conn, ids=list(model_ids), curated=curated, disabled=disabled)
    await _require_known(conn, model_ids, {row.id async for row in rows})


async def curate_by_rule(conn: db.Connection) -> None:
    """Recommend exactly what the rule chooses, as after the first sync; what was recommended otherwise is not any more.

    The rule stands with its query, and in docs/operators.md.
    """
    async for _ in sql.curate_by_rule(conn, absence_tolerated=ABSENCE_TOLERATED):
        pass


async def override_modality(conn: db.Connection, model_ids: Sequence[str], modality: ModelModality | None) -> None:
    """Set the kind of these models; None goes back to the listed one. It affects search only, not sales.

    Raises:
        InvalidInput: names each model that is not in the catalog.
    """
    rows = sql.override_modality(conn, ids=list(model_ids), modality=modality)
    await _require_known(conn, model_ids, {row.id async for row in rows})


async def syncs(conn: db.Connection, most: int) -> list[SyncAttempt]:
    """List the last syncs, newest first."""
    return [row async for row in sql.syncs(conn, most=most)]


async def quarantine(conn: db.Connection) -> list[QuarantinedRow]:
    """List the unreadable rows of the last list: id or position, reason, first seen, and the beginning of the row."""
    return [row async for row in sql.quarantine(conn)]


async def _require_known(conn: db.Connection, model_ids: Sequence[str], known_ids: set[str]) -> None:
    if unknown := [model_id for model_id in model_ids if model_id not in known_ids]:
        raise InvalidInput({model_id: await not_in_catalog(conn, model_id) for model_id in unknown})


def _page(
    conn: db.Connection, filters: Filters, after: Cursor | None, most: int, model_id: str | None = None
) -> AsyncIterator[ListedModel]:
    return sql.page(
        conn,
        absence_tolerated=ABSENCE_TOLERATED,
        id=model_id,
        search=filters.search.strip(),
        modality=filters.modality,
        provider=filters.provider,
        tiers=list(filters.tiers) or None,
        min_context=filters.min_context,
        capabilities=list(filters.capabilities) or None,
        parameters=list(filters.parameters) or None,
        curated=filters.curated,
        ids=list(filters.ids) or None,
        sells_as=filters.sells_as,
        takes=list(filters.takes) or None,
        most_usd=filters.most_usd,
        expires_before=filters.expires_before,
        reasoning=filters.reasoning,
        cutoff_from=filters.cutoff_from,
        open_weights=filters.open_weights,
        everything=filters.everything,
        sort=filters.order,
        after_text=after.text if after else None,
        after_number=after.number if after else None,
        after_id=after.id if after else None,
        most=most,
    )
