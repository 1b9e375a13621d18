"""The queries of `notice.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import DeliveryState, NoticeRule


class AddAddressRow(NamedTuple):
    id: UUID
    name: str
    scheme: str
    created_at: datetime


class AddressesRow(NamedTuple):
    id: UUID
    name: str
    scheme: str
    created_at: datetime


class SealedUrlRow(NamedTuple):
    id: UUID
    account_id: UUID | None
    sealed_url: bytes


class Finding(NamedTuple):
    account_id: UUID
    resource_id: UUID | None
    facts: dict[str, object]


class RecordRow(NamedTuple):
    id: UUID


class Delivery(NamedTuple):
    id: int
    tries: int
    address_id: UUID | None
    owner_id: UUID | None
    sealed_url: bytes | None
    rule: NoticeRule
    facts: dict[str, object]
    found_at: datetime
    handle: str
    slug: str | None


class Notice(NamedTuple):
    id: UUID
    found_at: datetime
    rule: NoticeRule
    handle: str
    slug: str | None
    facts: dict[str, object]
    deliveries: list[dict[str, object]]


class Queries(Protocol):
    """What `notice.sql` offers."""

    async def take_turns(self, conn: Connection) -> int:
        """Finders and adders take turns, so that "at most" is counted exactly."""

    async def add_address(
        self,
        conn: Connection,
        *,
        id: UUID,
        account_id: UUID | None,
        name: str,
        scheme: str,
        sealed_url: bytes,
        most: int,
    ) -> AddAddressRow | None:
        """No row means that there are as many as there may be."""

    def addresses(self, conn: Connection, *, account_id: UUID | None) -> AsyncIterator[AddressesRow]:
        """Of one creator, or of the operator; the URLs themselves are not shown to anybody."""

    async def remove_address(self, conn: Connection, *, id: UUID, account_id: UUID | None) -> int:
        """Only its owner's; what was sent to it keeps its name in the log."""

    async def sealed_url(self, conn: Connection, *, id: UUID) -> SealedUrlRow | None:
        """For a trial message."""

    def success_low(
        self, conn: Connection, *, days: int, least_calls: Decimal | int, least_share: Decimal | int
    ) -> AsyncIterator[Finding]:
        """Resources on sale whose paid calls fail too often; what the buyer's own input caused does not count."""

    def failures_charged(
        self, conn: Connection, *, days: int, least_failures: Decimal | int, most_share: Decimal | int
    ) -> AsyncIterator[Finding]:
        """Resources whose creator pays the provider for too many calls that failed. What was declined counts as
        answered; the rollup does not tell it apart, so it only says whose log is worth looking at.
        """

    def cost_unusual(
        self, conn: Connection, *, history_days: int, least_calls: int, least_days: int, far: Decimal | int
    ) -> AsyncIterator[Finding]:
        """Yesterday (UTC) a call cost more than on any day before, and far more than usual: the median of its own
        days.
        """

    def calls_unusual(
        self, conn: Connection, *, history_days: int, least_days: int, least_calls: int, far: int
    ) -> AsyncIterator[Finding]:
        """Yesterday (UTC) a creator's key carried far more calls than on any day before, or far fewer. Days without
        calls count.
        """

    def key_failing(self, conn: Connection, *, least_calls: int) -> AsyncIterator[Finding]:
        """Keys that the provider rejects, or refuses calls of; only of creators who have something on sale."""

    def key_low(self, conn: Connection, *, calls_left: Decimal | int) -> AsyncIterator[Finding]:
        """Keys whose own limit covers only a few calls more, at the worst case of the dearest prompt; or the
        provider says so.
        """

    def record(self, conn: Connection, *, rule: NoticeRule, subjects: str, pause_days: int) -> AsyncIterator[RecordRow]:
        """Each subject, of keys each provider's, once in so many days, whoever finds it; asked under `take_turns`."""

    async def address_all(self, conn: Connection, *, notice_ids: list[UUID]) -> int:
        """Everything goes to the operator; what is a creator's own, to them as well."""

    def claim(self, conn: Connection, *, patience_seconds: float, most: int) -> AsyncIterator[Delivery]:
        """What waits to be sent, or was given to a courier that never came back. Counted first."""

    async def end_delivery(self, conn: Connection, *, state: DeliveryState, reason: str | None, id: int) -> int:
        """How it ended, or that it waits for another try."""

    def listing(self, conn: Connection, *, account_id: UUID | None, most: int) -> AsyncIterator[Notice]:
        """What was found lately, of one creator or of all, with where it went. Others' addresses are nobody's
        business.
        """


sql: Queries = load("notice")
