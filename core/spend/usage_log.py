"""Write the usage log: one row for each finished round of an execution."""

from collections.abc import Sequence
from uuid import UUID

from core import db
from core.db.queries.spend import sql


async def append(conn: db.Connection, execution_ids: Sequence[UUID] | None = None) -> list[UUID]:
    """Write the usage row of every finished round that has none yet.

    Args:
        conn: one transaction.
        execution_ids: only these executions; None: all (for recovery).

    Returns:
        The executions that were logged now, at most 1000.
    """
    ids = None if execution_ids is None else list(execution_ids)
    return [row.id async for row in sql.log(conn, ids=ids)]
