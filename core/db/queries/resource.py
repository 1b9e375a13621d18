"""The queries of `resource.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import InputsIn, Modality, PromptShield, ReasoningEffort


class ResolveRow(NamedTuple):
    version_id: UUID
    resource_id: UUID
    account_id: UUID
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
    temperature: Decimal | None
    timeout_seconds: int
    price_atomic: int
    worst_cost_usd: Decimal
    zdr: bool
    sealed_template: bytes
    answer_schema: str | None
    truncated_from_characters: int | None
    reasoning_effort: ReasoningEffort | None
    prompt_shield: PromptShield
    inputs_in: InputsIn
    shielded_calls: int
    withheld_calls: int
    providers: dict[str, list[str]] | None
    fallbacks: list[str]
    alternatives: object | None
    supported_parameters: list[str]
    output_modalities: list[str]
    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    archived: bool
    allows_loss: bool | None
    tags: list[str]
    icon: str | None
    example: dict[str, object] | None
    offered_at: datetime | None
    is_on_offer: bool | None
    key_id: UUID | None
    sealed_key: bytes | None
    key_obstacle: Literal["key_disabled", "key_expired", "key_missing", "key_rejected", "key_spent"] | None
    model_withdrawn: bool
    is_certain_loss: bool
    spend_obstacle: str | None
    has_room: bool
    payouts: dict[str, str | None]
    seen: str | None
    price_tiers: list[dict[str, str | int]]
    listed: bool


class VersionRow(NamedTuple):
    version_id: UUID
    resource_id: UUID
    account_id: UUID
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
    temperature: Decimal | None
    timeout_seconds: int
    price_atomic: int
    worst_cost_usd: Decimal
    zdr: bool
    sealed_template: bytes
    answer_schema: str | None
    truncated_from_characters: int | None
    reasoning_effort: ReasoningEffort | None
    prompt_shield: PromptShield
    inputs_in: InputsIn
    shielded_calls: int
    withheld_calls: int
    providers: dict[str, list[str]] | None
    fallbacks: list[str]
    alternatives: object | None
    supported_parameters: list[str]
    output_modalities: list[str]
    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    price_tiers: list[dict[str, str | int]]
    archived: bool
    allows_loss: bool | None
    tags: list[str]
    icon: str | None
    example: dict[str, object] | None
    offered_at: datetime | None
    listed: bool


class CapsRow(NamedTuple):
    slug: str
    daily_spend_cap_usd: Decimal | None
    monthly_spend_cap_usd: Decimal | None
    most_per_call_usd: Decimal | None
    spent_today_usd: Decimal
    spent_this_month_usd: Decimal


class TakeRow(NamedTuple):
    id: UUID
    version_id: UUID | None
    archived: bool


class ResourceRow(NamedTuple):
    id: UUID
    slug: str
    version_id: UUID | None
    draft_id: UUID | None
    revision: int
    daily_spend_cap_usd: Decimal | None
    monthly_spend_cap_usd: Decimal | None
    most_per_call_usd: Decimal | None
    archived: bool


class HistoryRow(NamedTuple):
    id: UUID
    number: int
    created_at: datetime
    offered_at: datetime | None
    title: str
    model_id: str
    price_atomic: int


class ReadinessRow(NamedTuple):
    archived: bool
    key_id: UUID | None
    sealed_key: bytes | None
    key_obstacle: Literal["key_disabled", "key_expired", "key_missing", "key_rejected", "key_spent"] | None
    model_withdrawn: bool
    is_certain_loss: bool
    spend_obstacle: str | None
    has_room: bool
    payouts: dict[str, str | None]


class KeysRow(NamedTuple):
    account_id: UUID
    provider: str
    id: UUID
    sealed_key: bytes
    enabled: bool


class LeavingRow(NamedTuple):
    slug: str
    facts: dict[str, object]


class Queries(Protocol):
    """What `resource.sql` offers."""

    async def resolve(
        self, conn: Connection, *, absence_tolerated: timedelta, handle: str, slug: str
    ) -> ResolveRow | None:
        """The current version, and its readiness. All columns are named: a door that has prepared this goes on when
        a later version adds one to sale_state.
        """

    async def seen(self, conn: Connection, *, absence_tolerated: timedelta, handle: str, slug: str) -> str | None:
        """The hot path of every request: whether everything is as `resolve` read it. NULL: read it again."""

    def versions(self, conn: Connection, *, version_ids: list[UUID]) -> AsyncIterator[VersionRow]:
        """Any versions, also replaced or archived ones: a sold version stays readable for ever."""

    def listing(self, conn: Connection, *, account_id: UUID) -> AsyncIterator[VersionRow]:
        """A creator's resources, each as the version on offer, or as its draft if there is none; archived ones last."""

    def caps(self, conn: Connection, *, account_id: UUID) -> AsyncIterator[CapsRow]:
        """The caps of a creator's resources, and what of them is spent or reserved today and this month (UTC)."""

    async def take(
        self,
        conn: Connection,
        *,
        id: UUID,
        account_id: UUID,
        slug: str,
        daily_spend_cap_usd: Decimal | int | None,
        monthly_spend_cap_usd: Decimal | int | None,
        most_per_call_usd: Decimal | int | None,
    ) -> TakeRow:
        """Find or create the resource and lock it, so that concurrent publishers of one slug wait for each other.
        Its caps are not part of a version, so a new cap needs no new version.
        """

    async def create(
        self,
        conn: Connection,
        *,
        id: UUID,
        account_id: UUID,
        slug: str,
        daily_spend_cap_usd: Decimal | int | None,
        monthly_spend_cap_usd: Decimal | int | None,
        most_per_call_usd: Decimal | int | None,
    ) -> UUID | None:
        """A new resource for a first draft; no row if its slug is taken."""

    async def lock(self, conn: Connection, *, account_id: UUID, slug: str) -> ResourceRow | None:
        """Lock a resource that there is, as `take` does."""

    async def find(self, conn: Connection, *, account_id: UUID, slug: str) -> ResourceRow | None:
        """The same without a lock."""

    async def keep_draft(
        self,
        conn: Connection,
        *,
        draft_id: UUID | None,
        daily_spend_cap_usd: Decimal | int | None,
        monthly_spend_cap_usd: Decimal | int | None,
        most_per_call_usd: Decimal | int | None,
        id: UUID,
    ) -> int:
        """What its creator works on, and its caps, which are not part of a version."""

    async def numbered(self, conn: Connection, *, resource_id: UUID, number: int) -> UUID | None:
        """The id of a version by its number."""

    def history(self, conn: Connection, *, resource_id: UUID) -> AsyncIterator[HistoryRow]:
        """The versions of a resource, newest first. The draft and what was never on offer have no `offered_at`."""

    async def is_sold(self, conn: Connection, *, account_id: UUID, resource_id: UUID) -> bool:
        """Whether anybody ever paid for it."""

    async def add_version(
        self,
        conn: Connection,
        *,
        id: UUID,
        resource_id: UUID,
        title: str,
        description: str,
        modality: Modality,
        model_id: str,
        sealed_template: bytes,
        parameters: str,
        allows_user_message: bool,
        max_output_tokens: int,
        temperature: Decimal | int | None,
        timeout_seconds: int,
        price_atomic: int,
        worst_cost_usd: Decimal | int,
        zdr: bool,
        answer_schema: str | None,
        truncated_from_characters: int | None,
        reasoning_effort: ReasoningEffort | None,
        prompt_shield: PromptShield,
        inputs_in: InputsIn,
        providers: str | None,
        fallbacks: list[str],
        allows_loss: bool | None,
        tags: list[str],
        icon: str | None,
        example: str | None,
        listed: bool,
    ) -> int:
        """Numbers are consecutive because `take` holds the resource until this commits."""

    async def offer(self, conn: Connection, *, allows_loss: bool, version_id: UUID | None, id: UUID) -> int:
        """Make this version the one that buyers get. If it was the draft, there is none any more. To agree to a
        certain loss changes nothing of what is sold.
        """

    async def archive(self, conn: Connection, *, account_id: UUID, slug: str) -> int:
        """Take the resource off sale; its slug stays taken. A repetition keeps the first date."""

    async def restore(self, conn: Connection, *, account_id: UUID, slug: str) -> int:
        """Put the resource on sale again with its last version; one that was never published stays a draft."""

    async def readiness(
        self, conn: Connection, *, absence_tolerated: timedelta, version_id: UUID
    ) -> ReadinessRow | None:
        """Everything that could stop a sale, in one query. It locks nothing: the claim decides again."""

    def keys(self, conn: Connection, *, account_ids: list[UUID], providers: list[str]) -> AsyncIterator[KeysRow]:
        """The sealed keys of these accounts at these providers, for paid calls. A rejected key is tried all the
        same: the provider decides.
        """

    def leaving(self, conn: Connection, *, absence_tolerated: timedelta, account_id: UUID) -> AsyncIterator[LeavingRow]:
        """A creator's resources on models that are leaving."""


sql: Queries = load("resource")
