"""The log of creators' provider keys: each change, and the calls of each day (UTC).

The queries of `account.sql` log a change in the statement that makes it. Calls are counted, because a row per call
would say no more than its execution does.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from core import db
from core.db.queries.key_log import EventsRow, UsesRow, sql
from core.providers.registry import Provider, provider_for

_CHANGES = 100
_DAYS = 90


@dataclass(frozen=True, slots=True)
class KeyLog:
    """The newest changes of the key at one provider, and its uses in the last 90 days, newest first."""

    changes: list[EventsRow]
    uses: list[UsesRow]


async def count_uses(conn: db.Connection, opened: Iterable[tuple[UUID, str]]) -> None:
    """Count calls that keys were opened for, each given by its creator and its model."""
    counts = Counter((account_id, provider_for(model_id).name) for account_id, model_id in opened)
    await sql.count_uses(
        conn,
        account_ids=[account_id for account_id, _ in counts],
        providers=[name for _, name in counts],
        calls=list(counts.values()),
    )


async def key_log(conn: db.Connection, account_id: UUID, provider: Provider) -> KeyLog:
    """Read the log of a creator's keys at a provider, also of keys that are deleted."""
    changes = sql.events(conn, account_id=account_id, provider=provider.name, most=_CHANGES)
    uses = sql.uses(conn, account_id=account_id, provider=provider.name, days=_DAYS)
    return KeyLog([row async for row in changes], [row async for row in uses])
