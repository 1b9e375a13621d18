"""Serve the public catalog: the models, their prices and capabilities, and the history of both."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from api import catalog_documents as documents
from api import paging
from api.door import LimitedDoor
from api.pages import negotiation
from core import db
from core.catalog import search as catalog
from core.catalog.model import ID, Capability, Charges
from core.catalog.search import Cursor
from core.db.states import Modality, ModelModality, Tier
from core.failures import NotFound

router = APIRouter(prefix="/models", tags=["catalog"])

# The names of prices in documents: `cache_usd` is `cacheUsd`.
_PRICES = {name: to_camel(name) for name in Charges.model_fields}

# Models change once an hour at most, so pages that show them need not ask for each visitor.
_FRESH_SECONDS = 60


def storable(text: str) -> str:
    """Refuse text that Postgres cannot store."""
    if "\x00" in text:
        raise ValueError("must not contain the character U+0000")
    return text


class Filter(BaseModel):
    """Filters; a model must match all that are given."""

    model_config = ConfigDict(extra="forbid")

    search: Annotated[str, AfterValidator(storable)] = Field(
        default="",
        max_length=200,
        description="words of id, name or description, also misspelt, and traits: `cheap vision model`",
    )
    modality: ModelModality | None = Field(default=None, description="its kind; `sellsAs` is what you can sell on it")
    sells_as: Modality | None = Field(default=None, alias="sellsAs", description="what a prompt can be published as")
    takes: list[Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,30}$")]] = Field(
        default=[], max_length=10, description="kinds of input, all of them: `image`"
    )
    ids: list[Annotated[str, Field(pattern=f"^{ID.pattern}$")]] = Field(
        default=[], max_length=50, description="any of these models, to compare them"
    )
    provider: str | None = Field(default=None, pattern=r"^[\x21-\x7e]{1,200}$", description="as an id begins: `openai`")
    tier: list[Tier] = Field(default=[], max_length=5, description="any of them")
    capability: list[Capability] = Field(default=[], max_length=20, description="all of them")
    parameter: list[Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,100}$")]] = Field(
        default=[], max_length=20, description="supported request parameters, all of them"
    )
    min_context: int | None = Field(default=None, alias="minContext", ge=1, lt=2**31, description="tokens")
    max_price: Decimal | None = Field(
        default=None,
        alias="maxPrice",
        ge=0,
        max_digits=20,
        allow_inf_nan=False,
        description="US dollars per million tokens of the dearest output, fees spread over 1000 tokens",
    )
    expires_before: date | None = Field(
        default=None, alias="expiresBefore", description="its end is announced, before this day (UTC)"
    )
    reasoning: bool | None = Field(default=None, description="it can reason before it answers, or cannot")
    knows_until: date | None = Field(
        default=None, alias="knowsUntil", description="its knowledge cutoff is this day or later"
    )
    open_weights: bool | None = Field(default=None, alias="openWeights", description="its weights are published")
    curated: bool | None = Field(default=None, description="recommended here, or not")
    show: Literal["sellable", "all"] = Field(default="sellable", description="all: also what cannot be sold now")
    sort: catalog.Sort | None = Field(
        default=None,
        description="by relevance, by name, cheapest, newest, longest context or most sold here first; "
        "without it by relevance if there is a search, else by name",
    )
    cursor: str | None = Field(default=None, max_length=2000, description="from `next` of the page before")
    limit: int = Field(default=50, ge=1, le=200)

    def filters(self) -> catalog.Filters:
        """Convert to the catalog's filters."""
        return catalog.Filters(
            search=self.search,
            modality=self.modality,
            provider=self.provider,
            tiers=self.tier,
            min_context=self.min_context,
            capabilities=self.capability,
            parameters=self.parameter,
            curated=self.curated,
            ids=self.ids,
            sells_as=self.sells_as,
            takes=self.takes,
            most_usd=None if self.max_price is None else self.max_price.scaleb(-6),
            expires_before=self.expires_before,
            reasoning=self.reasoning,
            cutoff_from=self.knows_until,
            open_weights=self.open_weights,
            everything=self.show == "all",
            sort=self.sort,
        )


@router.get("", summary="The models that prompts can be sold on", responses=documents.PAGE)
async def models(
    request: Request,
    door: LimitedDoor,
    query: Annotated[Filter, Query()],
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """Page by page: `next` leads to the following models, also while models come and go."""
    if negotiation.wants_page(request):
        return negotiation.to_shop()
    filters = query.filters()
    after = None if query.cursor is None else _read_cursor(query.cursor, filters.order)
    async with db.autocommit(door.pool) as conn:
        rows, next_cursor = await catalog.page(conn, filters, after=after, most=query.limit)
    next_token = _write_cursor(next_cursor, filters.order) if next_cursor else None
    page = {"models": [_listed(row) for row in rows], "next": paging.next_address(request, next_token)}
    return paging.known_or(page, if_none_match, seconds=_FRESH_SECONDS)


@router.get("/{model_id:path}", summary="One model, with what it was since when", responses=documents.ENTRY)
async def model(
    request: Request,
    door: LimitedDoor,
    model_id: Annotated[str, Path(pattern=f"^{ID.pattern}$")],
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """Any model that was ever listed, sellable or not, with its past prices and capabilities."""
    if negotiation.wants_page(request):
        return negotiation.to_shop(model=model_id)
    async with db.autocommit(door.pool) as conn:
        row = await catalog.show(conn, model_id)
        past = await catalog.history(conn, model_id)
        rate = await catalog.success_rate(conn, model_id)
    if row is None:
        raise NotFound
    times = {"firstSeenAt": _time(row.first_seen_at), "changedAt": _time(row.changed_at)}
    history = [{"at": _time(state.at), "listed": state.listed, **_state(state, state.not_sellable)} for state in past]
    own = {"successRate": None if rate is None else f"{rate:f}"}
    entry = {**_listed(row), **times, **own, "history": history}
    return paging.known_or(entry, if_none_match, seconds=_FRESH_SECONDS)


def _listed(row: catalog.ListedModel) -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "provider": row.provider,
        "modality": row.modality,
        "sellsAs": row.sells_as if row.obstacle is None else [],
        "openWeights": row.open_weights,
        "knowledgeCutoff": row.knowledge_cutoff,
        "reasonsAlways": row.reasons_always,
        "tier": row.tier,
        "curated": row.curated,
        "sellable": row.obstacle is None,
        "releasedAt": _time(row.released_at),
        "missingSince": _time(row.missing_since),
        "successor": row.successor,
        **_state(row, row.obstacle),
    }


def _state(row: catalog.ListedModel | catalog.PastModel, obstacle: str | None) -> dict[str, object]:
    return {
        "pricing": None
        if row.prompt_usd is None or row.completion_usd is None
        else {
            **_charges({name: getattr(row, name) for name in Charges.model_fields}),
            "tiers": [{"abovePromptTokens": tier["above"], **_charges(tier)} for tier in row.price_tiers],
            "listed": {key: price and _usd(Decimal(price)) for key, price in row.prices.items()},
        },
        "contextLength": row.context_length,
        "maxCompletionTokens": row.max_completion_tokens,
        "inputModalities": row.input_modalities,
        "outputModalities": row.output_modalities,
        "supportedParameters": row.supported_parameters,
        "capabilities": row.capabilities,
        "notSellable": obstacle,
        "expiresOn": _time(row.expires_on),
        "aliasTarget": row.alias_target,
    }


def _charges(prices: Mapping[str, object]) -> dict[str, str | None]:
    amounts = {_PRICES[name]: None if prices[name] is None else _usd(Decimal(str(prices[name]))) for name in _PRICES}
    return amounts | {"requestUsd": amounts["requestUsd"] or "0"}


def _usd(amount: Decimal) -> str:
    """Format all digits, without an exponent."""
    return f"{amount:f}"


def _time(moment: datetime | date | None) -> str | None:
    if isinstance(moment, datetime):
        moment = moment.astimezone(UTC)
    return None if moment is None else moment.isoformat()


def _write_cursor(cursor: Cursor, sort: catalog.Sort) -> str:
    """A place in one order, so a cursor is a token of that order."""
    return paging.write_cursor(sort, [cursor.text, f"{cursor.number:f}", cursor.id])


def _read_cursor(cursor: str, sort: catalog.Sort) -> Cursor:
    """Decode a cursor.

    Raises:
        InvalidInput: we did not make it, or it belongs to another sort order.
    """
    text, number, model_id = paging.read_cursor(sort, cursor)
    return Cursor(text, Decimal(number), model_id)
