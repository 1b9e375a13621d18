"""The queries of `catalog.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import ModelModality, SyncOutcome, Tier


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
    not_sellable: str | None
    curated: bool
    modality_override: ModelModality | None
    disabled: bool
    missing_since: datetime | None
    raw: object


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
    tier: Tier
    curated: bool
    missing_since: datetime | None
    first_seen_at: datetime
    changed_at: datetime
    obstacle: str | None
    sort_text: str
    sort_number: Decimal


class PastModel(NamedTuple):
    at: datetime
    listed: bool
    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    image_output_usd: Decimal | None
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


class Queries(Protocol):
    """What `catalog.sql` offers."""

    async def find(self, conn: Connection, *, id: str) -> ModelRow | None:
        """Sellable or not: whoever asks decides, and wants to say why."""

    async def hold_prices(self, conn: Connection) -> int:
        """Until this transaction ends no sync changes a price: syncs lock the table against it, readers and other
        publishers do not.
        """

    async def is_empty(self, conn: Connection) -> bool:
        """Whether no sync ever brought anything."""

    def page(
        self,
        conn: Connection,
        *,
        absence_tolerated: timedelta,
        sort: str,
        id: str | None,
        everything: bool,
        words: list[str],
        modality: ModelModality | None,
        provider: str | None,
        tiers: list[Tier] | None,
        min_context: int | None,
        capabilities: list[str] | None,
        parameters: list[str] | None,
        curated: bool | None,
        after_id: str | None,
        after_text: str | None,
        after_number: Decimal | int | None,
        most: int,
    ) -> AsyncIterator[ListedModel]:
        """One page of the shelf, or the one model of an id. The order is a pair of a text and a number, of which
        each sort uses one, and the id: a cursor names a place between two models, which stays where it is
        while models come and go. It has to be short, so of a long name only the beginning counts. Words
        are looked for with position(), because LIKE would take some of their characters for patterns.
        """

    def history(self, conn: Connection, *, id: str, most: int) -> AsyncIterator[PastModel]:
        """What a model was since when, newest first."""

    def mark(
        self, conn: Connection, *, curated: bool | None, disabled: bool | None, ids: list[str]
    ) -> AsyncIterator[MarkRow]:
        """The operator's own switches; NULL leaves one as it is."""

    def override_modality(
        self, conn: Connection, *, modality: ModelModality | None, ids: list[str]
    ) -> AsyncIterator[OverrideModalityRow]:
        """The operator's word on what kind of model it is; NULL goes back to what is listed."""

    def syncs(self, conn: Connection, *, most: int) -> AsyncIterator[SyncAttempt]:
        """The last attempts, newest first."""

    def quarantine(self, conn: Connection) -> AsyncIterator[QuarantinedRow]:
        """What could not be read in the last list that was applied."""

    def sold_on(self, conn: Connection, *, model_ids: list[str]) -> AsyncIterator[SoldVersion]:
        """What is for sale on these models, by whom. Archived resources are not."""


sql: Queries = load("catalog")
