"""Sync the catalog out of turn, because a call failed for its model's price: no endpoint is as cheap as listed.

Who pays for calls can cause such failures, so one row in Postgres bounds the syncs of the whole system.
"""

import logging

from core import db
from core.catalog import sync
from core.catalog.model_list import ListRefused
from core.db.queries.price_sync import sql

CAUSE = "provider_404_price"
"""The failure that asks for a sync, as `core.providers.errors` names it."""

_PAUSE_SECONDS = 600

_log = logging.getLogger(__name__)


async def ask(conn: db.Connection) -> None:
    """Ask for a sync, which a launcher begins after the commit. Does not commit."""
    _ = [row async for row in sql.ask(conn)]


async def run_if_asked(pool: db.Pool, reprice: sync.Reprice) -> bool:
    """Sync if a call asked for it, at most once in ten minutes for all processes together; return whether it did.

    Takes the pool, because no connection is held during the request. A list that is refused is recorded and logged.
    """
    async with pool.connection() as conn:
        is_mine = await sql.claim(conn, pause_seconds=_PAUSE_SECONDS)
    if not is_mine:
        return False
    try:
        synced = await sync.sync(pool, reprice)
    except ListRefused as refusal:
        _log.warning("catalog: the sync that a failed call asked for was refused: %s", refusal)
    else:
        _log.info("catalog: synced because a call failed for its price: %s", synced.summary())
    return True
