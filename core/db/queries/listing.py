"""The queries of `listing.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import Modality


class Listed(NamedTuple):
    version_id: UUID
    resource_id: UUID
    handle: str
    slug: str
    number: int
    title: str
    description: str
    modality: Modality
    model_id: str
    parameters: list[dict[str, object]]
    allows_user_message: bool
    max_output_tokens: int
    timeout_seconds: int
    price_atomic: int
    zdr: bool
    answer_schema: str | None
    tags: list[str]
    icon: str | None
    example: dict[str, object] | None
    offered_at: datetime | None
    recent_calls: int
    payouts: dict[str, str | None]
    sort_text: str
    sort_number: Decimal


class Creator(NamedTuple):
    id: UUID
    handle: str


class KnownRow(NamedTuple):
    id: UUID
    slug: str
    may_be_listed: bool


class ModelsRow(NamedTuple):
    model_id: str
    prompts: int


class Queries(Protocol):
    """What `listing.sql` offers."""

    def page(
        self,
        conn: Connection,
        *,
        sort: str,
        search: str,
        kind: Modality | None,
        model: str | None,
        creator: str | None,
        slug: str | None,
        tag: str | None,
        most_atomic: int | None,
        providers: list[str],
        absence_tolerated: timedelta,
        networks: list[str],
        after_id: UUID | None,
        after_text: str | None,
        after_number: Decimal | int | None,
        most: int,
    ) -> AsyncIterator[Listed]:
        """One page of what is for sale and listed. First everything is put in order by what costs nothing to know;
        then whether it can be sold now is asked of one after the other, until the page is full. This
        looks as `readiness` does, but for keys and templates that cannot be opened. The order is a number
        and the id, and one sort uses a text: a cursor is a position between two prompts.
        """

    def creators(self, conn: Connection, *, after: str, most: int) -> AsyncIterator[Creator]:
        """The creators of whom something is, or was, on offer, by handle: whoever lists them wrongly shows there."""

    def known(self, conn: Connection, *, account_id: UUID) -> AsyncIterator[KnownRow]:
        """Everything of a creator that was ever published, also what is archived or in no list."""

    async def note_differences(self, conn: Connection, *, found: str, account_id: UUID) -> int:
        """Keep what differs at a creator's products, and forget what agrees again. `found` is an object by resource
        id.
        """

    def models(self, conn: Connection, *, most: int) -> AsyncIterator[ModelsRow]:
        """The models of what is listed, for people to choose from; those with the most prompts first."""


sql: Queries = load("listing")
