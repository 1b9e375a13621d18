"""The queries of `catalog_sync.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from core.db.pool import Connection
from core.db.sql import load


class ValidatorsRow(NamedTuple):
    etag: str | None
    last_modified: str | None


class LossRow(NamedTuple):
    present: int
    absent: int


class ApplyRow(NamedTuple):
    added: int
    changed: int
    unchanged: int
    returned: int
    missing: int


class ReportDueRow(NamedTuple):
    day: date
    since: datetime
    until: datetime


class ModelState(NamedTuple):
    model_id: str
    listed: bool
    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    image_output_usd: Decimal | None
    cache_usd: Decimal | None
    search_usd: Decimal | None
    picture_usd: Decimal | None
    price_tiers: str
    prices: str
    context_length: int | None
    max_completion_tokens: int | None
    input_modalities: str
    output_modalities: str
    supported_parameters: str
    capabilities: str
    not_sellable: str | None
    expires_on: date | None
    alias_target: str | None
    successor: str | None


class Queries(Protocol):
    """What `catalog_sync.sql` offers."""

    async def validators(self, conn: Connection, *, source: str) -> ValidatorsRow | None:
        """The ETag and date of the last applied list, if the same code read it from the same place. They expire
        after a week, so that a server that wrongly answers "not modified" for ever is asked for the whole
        list now and then.
        """

    async def record_refusal(self, conn: Connection, *, why: str | None) -> int:
        """Record a rejected list. Nothing else changes."""

    async def record(
        self,
        conn: Connection,
        *,
        added: int,
        changed: int,
        unchanged: int,
        returned: int,
        missing: int,
        quarantined: int,
        etag: str | None,
        last_modified: str | None,
        source: str | None,
    ) -> datetime:
        """Runs in the transaction that applies the list, so that both have the same time in the history."""

    async def take_turns(self, conn: Connection) -> int:
        """Two concurrent syncs would count each other's rows, and a publisher would read prices that are about to
        change. Readers are not blocked.
        """

    async def is_first(self, conn: Connection) -> bool:
        """Whether no list was ever applied."""

    async def loss(self, conn: Connection, *, ids: list[str]) -> LossRow:
        """Count the models that a list would take away, before anything is written."""

    async def now(self, conn: Connection) -> datetime:
        """The transaction's time, which all its rows in the history have."""

    async def apply(self, conn: Connection, *, rows: str, whole: bool) -> ApplyRow:
        """Apply the whole list in one statement: insert new models, update changed ones, mark absent ones, and
        count. Single rows make no other model absent, and OpenRouter's list makes no other provider's
        models absent. The values that we parse from a row are compared too, because our parser changes
        between versions. All parts see the table as it was before, so the counts are of that moment.
        Triggers write the history. Not ON CONFLICT, which computes the generated columns of a row twice.
        NOT IN is always hashed. With its estimate for served_by, the planner would run NOT EXISTS as a
        scan for each model.
        """

    async def put_aside(self, conn: Connection, *, ids: list[str], reasons: list[str], listed: list[str]) -> int:
        """The quarantine holds the last list's unreadable rows; a row that stays unreadable keeps the time it first
        appeared.
        """

    async def is_recorded(self, conn: Connection, *, source: str) -> bool:
        """Whether the last applied list was read by the same code from the same place within a week, so that its
        validators count.
        """

    async def report_due(self, conn: Connection) -> ReportDueRow | None:
        """The report of today, whose day begins at 03:00 UTC, unless it was made; what changed in this time is its
        subject.
        """

    async def reported(self, conn: Connection, *, day: date, until: datetime) -> int:
        """Record that the report of this day was made, about everything up to then."""

    def news(self, conn: Connection, *, since: datetime, until: datetime) -> AsyncIterator[ModelState]:
        """The changes of a time, both ends included: for each model its last state then, after the one before that
        time if there is one. A sync writes all its changes at one time. Arrays and JSON are returned as
        text, because converting them would take most of the time of a first sync.
        """


sql: Queries = load("catalog_sync")
