"""The queries of `notice.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
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
    account_id: UUID | None
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
    handle: str | None
    slug: str | None


class Notice(NamedTuple):
    id: UUID
    found_at: datetime
    rule: NoticeRule
    handle: str | None
    slug: str | None
    facts: dict[str, object]
    deliveries: list[dict[str, object]]


class Queries(Protocol):
    """What `notice.sql` offers."""

    async def take_turns(self, conn: Connection) -> int:
        """Checks of the rules and additions of addresses run one after the other, so that limits are counted
        exactly.
        """

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
        """No row means that the limit of addresses is reached."""

    def addresses(self, conn: Connection, *, account_id: UUID | None) -> AsyncIterator[AddressesRow]:
        """Addresses of one creator, or of the operator. URLs are never shown."""

    async def remove_address(self, conn: Connection, *, id: UUID, account_id: UUID | None) -> int:
        """Only the owner can remove an address; deliveries to it keep its name in the log."""

    async def sealed_url(self, conn: Connection, *, id: UUID) -> SealedUrlRow | None:
        """The sealed URL, for a trial message."""

    def success_low(
        self, conn: Connection, *, days: int, least_calls: Decimal | int, least_share: Decimal | int
    ) -> AsyncIterator[Finding]:
        """Resources on sale whose paid calls fail too often; declined calls do not count, because the fault is the
        buyer's.
        """

    def failures_charged(
        self, conn: Connection, *, days: int, least_failures: Decimal | int, most_share: Decimal | int
    ) -> AsyncIterator[Finding]:
        """Resources whose creator pays the provider for too many failed calls. Declined calls count as answered. The
        rollup does not separate charges of declined calls, so it only selects resources whose log is then
        read.
        """

    def cost_unusual(
        self, conn: Connection, *, history_days: int, least_calls: int, least_days: int, far: Decimal | int
    ) -> AsyncIterator[Finding]:
        """Yesterday (UTC) a call cost more than on any earlier day, and far more than the median day of this
        resource.
        """

    def calls_unusual(
        self, conn: Connection, *, history_days: int, least_days: int, least_calls: int, far: int
    ) -> AsyncIterator[Finding]:
        """Yesterday (UTC) a creator's key made far more calls than on any earlier day, or far fewer. Days without
        calls count.
        """

    def key_failing(self, conn: Connection, *, least_calls: int) -> AsyncIterator[Finding]:
        """Keys that the provider rejects, or whose calls it refuses; only of creators who have something on sale."""

    def key_low(self, conn: Connection, *, calls_left: Decimal | int) -> AsyncIterator[Finding]:
        """Keys whose own limit covers only a few more calls, at the worst case of the dearest prompt, or whose calls
        are refused for lack of credit.
        """

    def key_old(self, conn: Connection, *, days: int) -> AsyncIterator[Finding]:
        """Keys that are sold on and were set so many days ago."""

    def refunds_repeated(self, conn: Connection, *, days: int, least_refunds: Decimal | int) -> AsyncIterator[Finding]:
        """Resources of which one wallet has had many refunds; the facts name the wallet with the most."""

    def chain_differs(self, conn: Connection) -> AsyncIterator[Finding]:
        """Networks with payments that the chain does not show as their facilitator told. The operator is told again
        when one of them is paused.
        """

    def model_leaving(self, conn: Connection, *, absence_tolerated: timedelta) -> AsyncIterator[Finding]:
        """Resources on models that end, were lost, renamed or withdrawn, or make every call a loss."""

    def prompt_leaking(self, conn: Connection, *, days: int, least_overlaps: int) -> AsyncIterator[Finding]:
        """Resources whose answers gave their template away: our canary once, or a long part of it some times."""

    def payout_changing(self, conn: Connection, *, days: int) -> AsyncIterator[Finding]:
        """Payout addresses that change, or that were added later than their account. Whoever did not do it can still
        cancel.
        """

    def cap_reached(self, conn: Connection, *, near_share: Decimal | int) -> AsyncIterator[Finding]:
        """Caps of accounts and resources of which this day or month (UTC) has used most, or so much that not even
        the cheapest call on sale fits any more. Once for each share and period.
        """

    def call_too_dear(self, conn: Connection) -> AsyncIterator[Finding]:
        """Resources that are off sale because a call can cost more than a cap of one call allows, as after a sync of
        prices.
        """

    def refused_often(self, conn: Connection, *, least_calls: int, most_share: Decimal | int) -> AsyncIterator[Finding]:
        """Resources of whose calls of this day (UTC) the provider answered too many with 429, also those that
        succeeded later.
        """

    def spend_unusual(
        self, conn: Connection, *, history_days: int, least_days: int, far: Decimal | int, least_calls: int
    ) -> AsyncIterator[Finding]:
        """Accounts that spent far more on models this day (UTC) than on the median day with spending before it."""

    def payer_unusual(
        self, conn: Connection, *, least_calls: int, least_others: int, far: Decimal | int
    ) -> AsyncIterator[Finding]:
        """Wallets that bought far more calls of a creator this day (UTC) than the others did on average."""

    def sold_below_cost(self, conn: Connection, *, days: int, least_calls: int) -> AsyncIterator[Finding]:
        """Resources on sale whose paid calls cost more than they brought in, unless their creator agreed to a loss."""

    def weekly_digest(self, conn: Connection) -> AsyncIterator[Finding]:
        """The week before this one (from Monday, UTC) of each account that had calls in it, wants a digest and had
        none of it.
        """

    def refunds_unpaid(self, conn: Connection, *, overdue_days: int) -> AsyncIterator[Finding]:
        """Creators who owe refunds that their wallet could not pay at its last try, or that have been due for so
        many days.
        """

    def webhook_disabled(self, conn: Connection) -> AsyncIterator[Finding]:
        """Webhooks that took nothing for so long that nothing is sent there any more."""

    def listing_differs(self, conn: Connection) -> AsyncIterator[Finding]:
        """Products of which lists and the live offer said different things at the last look."""

    def record(self, conn: Connection, *, rule: NoticeRule, subjects: str, pause_days: int) -> AsyncIterator[RecordRow]:
        """Record each subject at most once in so many days; for key rules, each provider's key. What has a date is
        told once for each date, and an old key once. Runs under `take_turns`.
        """

    async def address_all(self, conn: Connection, *, notice_ids: list[UUID]) -> int:
        """Deliver every notice but digests to the operator, and a creator's own notices to that creator too."""

    def claim(self, conn: Connection, *, patience_seconds: float, most: int) -> AsyncIterator[Delivery]:
        """Claim notices for people that wait, or whose sender process never reported back. The try is counted before
        it is made.
        """

    async def end_delivery(self, conn: Connection, *, state: DeliveryState, reason: str | None, id: int) -> int:
        """Record how a delivery ended, or that it waits for another try."""

    def listing(self, conn: Connection, *, account_id: UUID | None, most: int) -> AsyncIterator[Notice]:
        """The latest notices, of one creator or of all, with their deliveries. A creator sees only deliveries to
        themselves.
        """


sql: Queries = load("notice")
