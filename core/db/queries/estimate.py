"""The queries of `estimate.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load
from core.db.states import Modality


class UsualTokensRow(NamedTuple):
    calls: int
    input_tokens: Decimal | None
    output_tokens: Decimal | None


class Queries(Protocol):
    """What `estimate.sql` offers."""

    async def usual_tokens(
        self, conn: Connection, *, account_id: UUID, slug: str, modality: Modality
    ) -> UsualTokensRow:
        """What the answered calls of a creator's resource used on average in the last 30 days, on whatever model.
        Providers count reasoning as output.
        """


sql: Queries = load("estimate")
