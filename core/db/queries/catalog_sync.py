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


class ModelState(NamedTuple):
    model_id: str
    listed: bool
    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    image_output_usd: Decimal | None
    context_length: int | None
    max_completion_tokens: int | None
    input_modalities: str
    output_modalities: str
    supported_parameters: str
    capabilities: str
    not_sellable: str | None
    expires_on: date | None
    alias_target: str | None


class Queries(Protocol):
    """What `catalog_sync.sql` offers."""

    async def validators(self, conn: Connection, *, source: str) -> ValidatorsRow | None:
        """What the provider said of the list that was applied last, if it was read by the same code from the same
        place. Only for a week: a server that wrongly says "not modified" for ever is asked for everything
        now and then.
        """

    async def record_not_modified(self, conn: Connection) -> datetime:
        """Nothing changed, and we looked."""

    async def record_refusal(self, conn: Connection, *, why: str | None) -> int:
        """A list that was not applied leaves everything as it was, but for this."""

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
        """In the transaction that applies the list, so that its time is that of the rows which the list brought to
        the history.
        """

    async def take_turns(self, conn: Connection) -> int:
        """Two syncs at once would count each other's rows, and a publisher would look at prices that are about to
        change. Readers go on.
        """

    async def loss(self, conn: Connection, *, ids: list[str]) -> LossRow:
        """How much of the catalog a list would take away: asked before anything is written."""

    async def now(self, conn: Connection) -> datetime:
        """The time of everything that this transaction writes into the history."""

    async def apply(self, conn: Connection, *, rows: str, whole: bool) -> ApplyRow:
        """One statement for the whole list: insert what is new, update what differs, mark what is absent, and count.
        Single rows make nothing absent, and no list of OpenRouter's makes another provider's models so.
        What we read from a row is compared too, since our reading changes with our versions. All parts
        see the table as it was before, so the counts are of that moment. Triggers write the history. NOT
        IN is hashed whatever the planner believes of served_by; by its guess NOT EXISTS reads the list
        for each model.
        """

    async def put_aside(self, conn: Connection, *, ids: list[str], reasons: list[str], listed: list[str]) -> int:
        """The quarantine holds the last list's bad rows; one that stays bad keeps the time of its first appearance."""

    def news(self, conn: Connection, *, at: datetime) -> AsyncIterator[ModelState]:
        """What a sync brought into the history: of each model its row of then, after the one before it if there is
        one. Lists come as text: as lists they would be most of the time of a sync in which everything is
        new.
        """


sql: Queries = load("catalog_sync")
