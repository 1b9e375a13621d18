"""The queries of `chain_verification.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import Verification


class Unverified(NamedTuple):
    id: UUID
    payer: str
    nonce: bytes
    pay_to: str
    amount_atomic: int
    transaction: str
    created_at: datetime
    decided_at: datetime


class PauseRow(NamedTuple):
    id: str


class ResumeRow(NamedTuple):
    id: str


class Queries(Protocol):
    """What `chain_verification.sql` offers."""

    def unverified(
        self, conn: Connection, *, network: str, asset: str, after_decided: datetime, after_id: UUID, most: int
    ) -> AsyncIterator[Unverified]:
        """Paid payments of a network that were not verified yet, oldest first."""

    async def record(self, conn: Connection, *, ids: list[UUID], verdicts: list[Verification]) -> int:
        """Record what the chain shows for these payments."""

    async def pause(self, conn: Connection, *, network: str, limit: int) -> PauseRow | None:
        """Pause a network with too many differences; no row if it has fewer, or is paused already."""

    async def resume(self, conn: Connection, *, network: str) -> ResumeRow | None:
        """Sell on a paused network again; differences found until now no longer count. No row if it is not paused."""


sql: Queries = load("chain_verification")
