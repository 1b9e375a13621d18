"""The queries of `master_key.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""

from collections.abc import AsyncIterator
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from core.db.pool import Connection
from core.db.sql import load


class SealedRow(NamedTuple):
    key_id: bytes
    account_id: UUID
    row_id: UUID
    place: Literal["notice_addresses.sealed_url", "provider_keys.sealed_key", "resource_versions.sealed_template"]
    sealed: bytes


class Queries(Protocol):
    """What `master_key.sql` offers."""

    def newest_sealed(self, conn: Connection) -> AsyncIterator[SealedRow]:
        """The newest values under each master key, of those that are kept for as long as their owners: provider
        keys, prompt templates and addresses of notices. An envelope begins with 0x01, the length of the
        key's id, and the id. Several of them, because a single row may be damaged. The operator's
        addresses are sealed for the account of zeros. A damaged value may be too short to have an id.
        """


sql: Queries = load("master_key")
