"""The queries of `price_sync.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from core.db.pool import Connection
from core.db.sql import load


class AskRow(NamedTuple):
    told: bool


class Queries(Protocol):
    """What `price_sync.sql` offers."""

    def ask(self, conn: Connection) -> AsyncIterator[AskRow]:
        """Ask for a sync, and wake the launchers. While one is asked for, this writes nothing."""

    async def claim(self, conn: Connection, *, pause_seconds: float) -> bool | None:
        """Take the sync that was asked for, unless such a sync began a short time ago, or a scheduled one has done
        its work since.
        """


sql: Queries = load("price_sync")
