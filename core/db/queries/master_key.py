"""The queries of `master_key.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import WorkerKind


class SealedRow(NamedTuple):
    key_id: bytes
    account_id: UUID
    row_id: UUID
    place: Literal[
        "answer_pieces.sealed_text",
        "executions.sealed_inputs",
        "executions.sealed_result",
        "key_connections.sealed_verifier",
        "notice_addresses.sealed_url",
        "payments.sealed_payload",
        "provider_keys.sealed_key",
        "refund_wallets.sealed_key",
        "resource_versions.sealed_template",
        "sends.sealed_request",
        "webhooks.sealed_endpoint",
    ]
    sealed: bytes


class SealedCountRow(NamedTuple):
    place: Literal[
        "answer_pieces.sealed_text",
        "executions.sealed_inputs",
        "executions.sealed_result",
        "key_connections.sealed_verifier",
        "notice_addresses.sealed_url",
        "payments.sealed_payload",
        "provider_keys.sealed_key",
        "refund_wallets.sealed_key",
        "resource_versions.sealed_template",
        "sends.sealed_request",
        "webhooks.sealed_endpoint",
    ]
    key_id: bytes | None
    values: int


class StaleRow(NamedTuple):
    account_id: UUID
    row_id: UUID
    sealed: bytes


class SealingOtherwiseRow(NamedTuple):
    kind: WorkerKind
    host: str
    pid: int


class UnusedKeysRow(NamedTuple):
    key_id: str
    unused_since: datetime


class Queries(Protocol):
    """What `master_key.sql` offers."""

    def newest_sealed(self, conn: Connection) -> AsyncIterator[SealedRow]:
        """The newest values under each master key, of those that are kept for as long as their owners: provider
        keys, prompt templates, addresses of notices and webhooks. An envelope begins with 0x01, the
        length of the key's id, and the id. Several of them, because a single row may be damaged. A
        damaged value may be too short to have an id.
        """

    def count_sealed(self, conn: Connection) -> AsyncIterator[SealedCountRow]:
        """How many values each master key sealed, by column; NULL for what is no envelope. Only the head of a value
        is read, because answers are long.
        """

    def stale(
        self,
        conn: Connection,
        *,
        place: Literal[
            "answer_pieces.sealed_text",
            "executions.sealed_inputs",
            "executions.sealed_result",
            "key_connections.sealed_verifier",
            "notice_addresses.sealed_url",
            "payments.sealed_payload",
            "provider_keys.sealed_key",
            "refund_wallets.sealed_key",
            "resource_versions.sealed_template",
            "sends.sealed_request",
            "webhooks.sealed_endpoint",
        ],
        after: UUID,
        newest: bytes,
        most: int,
        most_bytes: int,
    ) -> AsyncIterator[StaleRow]:
        """The next values of one column, by row, that are not under the newest key: their heads differ from its own.
        At most so many, and no more bytes than the first of them needs or `most_bytes`, because a request
        may hold pictures.
        """

    async def replace(
        self, conn: Connection, *, place: str, row_ids: list[UUID], stale: list[bytes], fresh: list[bytes]
    ) -> int | None:
        """Compare and swap, in one statement."""

    def sealing_otherwise(
        self, conn: Connection, *, lease_seconds: float, newest: str | None
    ) -> AsyncIterator[SealingOtherwiseRow]:
        """Living processes that do not seal under this key: they could not open what a rotation seals, or would go
        on sealing under an older key.
        """

    async def note_unused(self, conn: Connection, *, used: list[str], unused: list[str]) -> int:
        """Record which older keys open nothing any more, each from the first time on, and forget those that do."""

    def unused_keys(self, conn: Connection) -> AsyncIterator[UnusedKeysRow]:
        """Older keys that opened nothing when a rotation ended."""


sql: Queries = load("master_key")
