"""The queries of `estimate.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
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


class CallsByTokenizerRow(NamedTuple):
    latin_characters: int
    other_characters: int
    input_tokens: int
    output_tokens: int
    max_output_tokens: int
    prompt_usd: Decimal
    completion_usd: Decimal
    request_usd: Decimal


class Queries(Protocol):
    """What `estimate.sql` offers."""

    async def usual_tokens(
        self, conn: Connection, *, account_id: UUID, slug: str, modality: Modality
    ) -> UsualTokensRow:
        """What the answered calls of a creator's resource used on average in the last 30 days, on whatever model.
        Providers count reasoning as output.
        """

    def calls_by_tokenizer(self, conn: Connection, *, tokenizer: str) -> AsyncIterator[CallsByTokenizerRow]:
        """The last answered calls of all creators to models with this tokenizer, without saying whose they were: how
        long the prompt was, what it used, and today's prices.
        """


sql: Queries = load("estimate")
