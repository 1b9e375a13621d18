"""The queries of `invite.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class AddRow(NamedTuple):
    expires_at: datetime


class Queries(Protocol):
    """What `invite.sql` offers."""

    async def add(self, conn: Connection, *, code_sha256: bytes, days: int) -> AddRow:
        """An invitation ends by itself, because codes get lost in mails."""

    async def is_open(self, conn: Connection, *, code_sha256: bytes) -> bool:
        """Whether a code can still open an account, to say so together with other errors."""

    async def use(self, conn: Connection, *, account_id: UUID | None, code_sha256: bytes) -> int:
        """Of two who use a code at once, the second changes no row."""


sql: Queries = load("invite")
