"""Forgetting what was sold: inputs and answers are sealed while they are kept, and deleted when their time is over.

What is kept for good is who paid what for which version, and how it ended.
"""

from uuid import UUID

from core import db
from core.db.queries.retention import sql
from core.media import store as media
from core.settings import settings


async def delete_content(pool: db.Pool, *, batch: int = 1000) -> int:
    """Delete the inputs and answers of what came to rest more than INSTANT_RETENTION_DAYS ago.

    What may still be run again, or is owed to its buyer, keeps its inputs until that is over. Files go before the
    answer that names them, and what has none does not wait for their store.

    Takes the pool, and commits a batch at a time: no connection is held while files are deleted, and a long backlog
    holds no locks.

    Returns:
        How many executions it concerned.

    Raises:
        Unavailable: the store of files is out of reach; what has files is kept until the next time.
    """
    total = 0
    for has_media in (False, True):
        while ids := await _deletable(pool, has_media, batch):
            if has_media:
                await media.delete(ids)
            async with pool.connection() as conn:
                total += len([row async for row in sql.delete_content(conn, ids=ids)])
    return total


async def _deletable(pool: db.Pool, has_media: bool, most: int) -> list[UUID]:
    async with pool.connection() as conn:
        seconds = settings().retention_days * 86_400
        return [row.id async for row in sql.deletable(conn, has_media=has_media, seconds=seconds, most=most)]
