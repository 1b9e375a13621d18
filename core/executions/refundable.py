"""Bound the failures that a wallet can cause, for which it is owed its money and the creator pays the provider."""

from datetime import datetime
from uuid import UUID

from core import db
from core.db.queries.refundable import sql
from core.failures import ExecutionFailed
from core.providers.errors import CAUSED_BY_WORDS
from core.settings import settings


async def note(conn: db.Connection, execution_id: UUID, failure: ExecutionFailed) -> None:
    """Note a failure of a paid execution, if a buyer's words can cause it and it costs the creator a generation."""
    if failure.detail in CAUSED_BY_WORDS:
        await sql.note(conn, id=execution_id)


async def refused_until(conn: db.Connection, payer: str, resource_id: UUID) -> datetime | None:
    """Return the time (UTC) from which a wallet may buy a resource again; None if it may now.

    It may not after INSTANT_REFUNDABLE_FAILURES within 24 hours, unless they are less than a tenth of its purchases.
    """
    return await sql.refused_until(conn, payer=payer, resource_id=resource_id, most=settings().refundable_failures)


async def is_rerun_refused(conn: db.Connection, execution_id: UUID) -> bool:
    """Whether the wallet that paid for an execution may not buy its resource now, and so may not re-run it either."""
    return bool(await sql.is_rerun_refused(conn, id=execution_id, most=settings().refundable_failures))
