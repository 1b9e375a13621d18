"""The queries of `catalog.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import Modality, ModelModality, SyncOutcome, Tier


class ModelRow(NamedTuple):
    id: str
    name: str
    modality: ModelModality
    capabilities: list[str]
    alias_target: str | None
    released_at: datetime | None
    expires_on: date | None
    context_length: int | None
    max_completion_tokens: int | None
    input_modalities: list[str]
    output_modalities: list[str]
    supported_parameters: list[str]
    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    image_output_usd: Decimal | None
    cache_usd: Decimal | None
    search_usd: Decimal | None
    picture_usd: Decimal | None
    price_tiers: list[dict[str, object]]
    prices: dict[str, str | None]
    not_sellable: str | None
    curated: bool
    modality_override: ModelModality | None
    disabled: bool
    missing_since: datetime | None
    raw: object
    logged_picture_tokens: list[int] | None
    successor: str | None


class ListedModel(NamedTuple):
    id: str
    name: str
    description: str | None
    provider: str
    modality: ModelModality
    capabilities: list[str]
    alias_target: str | None
    released_at: datetime | None
    expires_on: date | None
    context_length: int | None
    max_completion_tokens: int | None
    input_modalities: list[str]
    output_modalities: list[str]
    supported_parameters: list[str]
    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    image_output_usd: Decimal | None
    cache_usd: Decimal | None
    search_usd: Decimal | None
    picture_usd: Decimal | None
    price_tiers: list[dict[str, object]]
    prices: dict[str, str | None]
    tier: Tier
    curated: bool
    missing_since: datetime | None
    first_seen_at: datetime
    changed_at: datetime
    obstacle: str | None
    successor: str | None
    sells_as: list[Modality]
    open_weights: bool
    knowledge_cutoff: str | None
    reasons_always: bool | None
    output_usd: Decimal | None
    sort_text: str
    sort_number: Decimal


class SimilarRow(NamedTuple):
    id: str


class PastModel(NamedTuple):
    at: datetime
    listed: bool
    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    image_output_usd: Decimal | None
    cache_usd: Decimal | None
    search_usd: Decimal | None
    picture_usd: Decimal | None
    price_tiers: list[dict[str, object]]
    prices: dict[str, str | None]
    context_length: int | None
    max_completion_tokens: int | None
    input_modalities: list[str]
    output_modalities: list[str]
    supported_parameters: list[str]
    capabilities: list[str]
    not_sellable: str | None
    expires_on: date | None
    alias_target: str | None


class MarkRow(NamedTuple):
    id: str


class CurateByRuleRow(NamedTuple):
    id: str


class OverrideModalityRow(NamedTuple):
    id: str


class SyncAttempt(NamedTuple):
    at: datetime
    outcome: SyncOutcome
    why: str | None
    added: int
    changed: int
    unchanged: int
    returned: int
    missing: int
    quarantined: int


class QuarantinedRow(NamedTuple):
    id: str
    reason: str
    first_seen_at: datetime
    listed: str


class SoldVersion(NamedTuple):
    model_id: str
    handle: str
    slug: str
    price_atomic: int
    worst_cost_usd: Decimal
    is_certain_loss: bool
    allows_loss: bool | None
    not_sellable: str | None
    serves: bool
    successor: str | None


class Queries(Protocol):
    """What `catalog.sql` offers."""

    async def find(self, conn: Connection, *, id: str) -> ModelRow | None:
        """Also finds models that cannot be sold: the caller decides, and reports the reason."""

    async def hold_prices(self, conn: Connection) -> int:
        """No sync changes a price until this transaction ends. The lock conflicts with a sync's, but not with those
        of readers or of other publishers.
        """

    async def is_empty(self, conn: Connection) -> bool:
        """Whether the catalog has never been filled."""

    def page(
        self,
        conn: Connection,
        *,
        sort: str,
        absence_tolerated: timedelta,
        search: str,
        id: str | None,
        everything: bool,
        modality: ModelModality | None,
        provider: str | None,
        tiers: list[Tier] | None,
        min_context: int | None,
        capabilities: list[str] | None,
        parameters: list[str] | None,
        curated: bool | None,
        ids: list[str] | None,
        sells_as: str | None,
        takes: list[str] | None,
        most_usd: Decimal | int | None,
        expires_before: date | None,
        reasoning: bool | None,
        cutoff_from: date | None,
        open_weights: bool | None,
        after_id: str | None,
        after_text: str | None,
        after_number: Decimal | int | None,
        most: int,
    ) -> AsyncIterator[ListedModel]:
        """One page of the catalog, or the one model with an id. The order is a text, a number and the id; each sort
        uses either the text or the number. So a cursor is a position between two models, and stays valid
        while models come and go. A cursor has to be short, so only the beginning of a long name counts.
        By relevance, the newest of equals comes first: its time is the end of the number. A prompt on a
        model can be published as what it sells as; as json if its provider can hold it to JSON.
        """

    def similar(
        self, conn: Connection, *, absence_tolerated: timedelta, id: str, most: int
    ) -> AsyncIterator[SimilarRow]:
        """The models that somebody may mean who wrote this id: first what has it as its permanent name, then the
        most alike.
        """

    def history(self, conn: Connection, *, id: str, most: int) -> AsyncIterator[PastModel]:
        """A model's past states, newest first."""

    async def success_rate(self, conn: Connection, *, least_calls: Decimal | int, id: str, days: int) -> Decimal | None:
        """The share of whole answers, of the paid calls of these days that were not declined; NULL for fewer calls.
        Versions with fallbacks are left out, because another model may have answered.
        """

    def mark(
        self, conn: Connection, *, curated: bool | None, disabled: bool | None, ids: list[str]
    ) -> AsyncIterator[MarkRow]:
        """Set the operator's switches; NULL leaves one unchanged."""

    def curate_by_rule(self, conn: Connection, *, absence_tolerated: timedelta) -> AsyncIterator[CurateByRuleRow]:
        """Recommend exactly what the rule chooses from what can be sold now and has no announced end. For text and
        JSON: of the ten makers with the most text models the newest two in each tier, that read 100,000
        tokens and can be held to JSON and tools, without special editions (the id of another one with
        more behind it); the newest of each before all second ones, at most 24. For images: the newest two
        of each maker, at most 6.
        """

    def override_modality(
        self, conn: Connection, *, modality: ModelModality | None, ids: list[str]
    ) -> AsyncIterator[OverrideModalityRow]:
        """Set the operator's choice of modality; NULL goes back to the listed one."""

    def syncs(self, conn: Connection, *, most: int) -> AsyncIterator[SyncAttempt]:
        """The last syncs, newest first."""

    def quarantine(self, conn: Connection) -> AsyncIterator[QuarantinedRow]:
        """Rows of the last applied list that could not be read."""

    def sold_on(self, conn: Connection, *, model_ids: list[str]) -> AsyncIterator[SoldVersion]:
        """Resources on sale on these models, with their creators. Archived resources are left out."""


sql: Queries = load("catalog")
