"""Delete inputs and answers when their retention time is over, or a buyer wishes it. Until then they are stored sealed.

The records of who paid what for which version, and of how it ended, are kept for ever.
"""

from uuid import UUID

from core import db
from core.db.queries.retention import sql
from core.failures import NotFound
from core.media import store as media
from core.settings import settings


async def delete_content(pool: db.Pool, *, batch: int = 1000) -> int:
    """Delete the inputs and answers of executions that ended more than INSTANT_RETENTION_DAYS ago.

    An execution that may be re-run, or whose refund is due, keeps its inputs until that is over. Files are deleted
    before the answer that names them. Executions without files are deleted first, so that they do not wait for the
    media store.

    Takes the pool and commits a batch at a time: no connection is held while files are deleted, and a long backlog
    holds no locks.

    Returns:
        The number of executions whose content was deleted.

    Raises:
        Unavailable: the media store cannot be reached; executions with files keep their content until the next run.
    """
    total = 0
    for has_media in (False, True):
        while ids := await _deletable(pool, has_media, batch):
            if has_media:
                await media.delete(ids)
            async with pool.connection() as conn:
                total += len([row async for row in sql.delete_content(conn, ids=ids, erased_by_buyer=False)])
    return total


async def erase(pool: db.Pool, execution_id: UUID) -> bool:
    """Delete the inputs and the answer of one execution at once, because its buyer asks for it; files first.

    What proves the purchase stays: the payment, the receipt, the usage. A repetition changes nothing.

    Takes the pool: no connection is held while files are deleted.

    Returns:
        Whether there is no content any more; False: the execution can still change, and needs its content.

    Raises:
        NotFound: there is no such execution.
        Unavailable: the media store cannot be reached, and nothing was deleted.
    """
    async with pool.connection() as conn:
        found = await sql.erasable(conn, id=execution_id)
    if found is None:
        raise NotFound
    if not found.is_settled:
        return False
    if found.has_media:
        await media.delete([execution_id])
    async with pool.connection() as conn:
        async for _ in sql.delete_content(conn, ids=[execution_id], erased_by_buyer=True):
            pass
    return True


async def _deletable(pool: db.Pool, has_media: bool, most: int) -> list[UUID]:
    async with pool.connection() as conn:
        seconds = settings().retention_days * 86_400
        return [row.id async for row in sql.deletable(conn, has_media=has_media, seconds=seconds, most=most)]
