"""Look up the unknown costs of sends at the provider, by the id of their generation.

Until its cost is known, a send counts at its worst case in the day's spending, and its usage row has no cost. If the
provider reports no costs, that stays so.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from core import db
from core.db.queries.cost_backfill import UnpricedRow, sql
from core.failures import ExecutionFailed
from core.providers import client as provider_client
from core.providers import registry as providers
from core.resources import readiness
from core.secrets.private import Private
from core.spend import reservations

# A creator and the provider.
Owner = tuple[UUID, str]


LOOKUP_PERIOD = timedelta(days=7)
"""How long unknown costs are looked up; after that they stay at their worst case.

OpenRouter knows a generation within moments, and after an abort within hours.
"""

# Longer than the longest call.
_NO_LONGER_RUNS = timedelta(minutes=15)
_MOST = 5000
_AT_A_TIME = 8


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The result of one pass, in sends.

    Attributes:
        unpriced: sends of unknown cost.
        priced: sends whose cost became known.
        keyless: sends that could not be looked up, because their creator has no working key any more.
    """

    unpriced: int
    priced: int
    keyless: int


async def reconcile(pool: db.Pool, *, youngest: timedelta = _NO_LONGER_RUNS) -> Reconciled:
    """Ask the provider for the costs of sends, and correct spending and usage.

    Takes the pool: no connection is held while the provider is asked. Each cost is committed as soon as it is known,
    so that an interrupted pass loses nothing.

    Args:
        pool: our database.
        youngest: the least age of a send, so that it cannot still run.
    """
    async with pool.connection() as conn:
        unpriced = sql.unpriced(
            conn,
            tellers=[row.name for row in providers.configured().values() if row.cost_path],
            youngest_seconds=youngest.total_seconds(),
            oldest_seconds=LOOKUP_PERIOD.total_seconds(),
            most=_MOST,
        )
        rows = [row async for row in unpriced]
        keys = await _keys(conn, {_owner(row) for row in rows})
    with_key = [row for row in rows if _owner(row) in keys]
    semaphore = asyncio.Semaphore(_AT_A_TIME)

    async def price(row: UnpricedRow) -> bool:
        async with semaphore:
            return await _price(pool, row, keys[_owner(row)])

    priced = await asyncio.gather(*map(price, with_key))
    return Reconciled(unpriced=len(rows), priced=sum(priced), keyless=len(rows) - len(with_key))


def _owner(row: UnpricedRow) -> Owner:
    return row.account_id, row.served_by


async def _keys(conn: db.Connection, owners: set[Owner]) -> dict[Owner, Private[str]]:
    keys = {}
    for account_id, name in owners:
        try:
            keys[account_id, name] = await readiness.open_key(conn, account_id, providers.find(name))
        except ExecutionFailed:
            # The key is missing, disabled or unreadable; the next pass may find another.
            continue
    return keys


async def _price(pool: db.Pool, row: UnpricedRow, key: Private[str]) -> bool:
    """Look up the cost of one send; return whether it is known now."""
    cost = await provider_client.cost_of(providers.find(row.served_by), key, row.generation_id)
    if cost is None:
        return False

    async def correct(conn: db.Connection) -> None:
        if await sql.price(conn, cost_usd=cost, execution_id=row.execution_id, round=row.round, number=row.number):
            await reservations.replace_by_cost(conn, [(row.execution_id, row.round)])

    await db.retry_until_committed(pool, correct)
    return True
