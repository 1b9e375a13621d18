"""Close an account: nothing of it is sold any more, and its secrets and content are gone.

What was sold stays, for the books and for buyers: payments, calls, usage, refunds, titles and prices. Inputs and
answers are deleted after INSTANT_RETENTION_DAYS, as those of everybody. The handle is not given to anybody else.
"""

from uuid import UUID

from core import db
from core.db.queries.closing import sql
from core.failures import AccountBusy
from core.resources.versions import TEMPLATE_COLUMN
from core.secrets.vault import vault


async def close(conn: db.Connection, account_id: UUID) -> None:
    """Close an account. It does not commit.

    Raises:
        AccountBusy: calls run or are owed, or payments may still land.
    """
    await sql.lock(conn, account_id=account_id)
    obstacles = db.required(await sql.obstacles(conn, account_id=account_id))
    if any(obstacles):
        raise AccountBusy(*obstacles)
    ids = [row.id async for row in sql.version_ids(conn, account_id=account_id)]
    # An empty template is sealed too, so that whoever reads or rotates sealed values meets nothing new.
    sealed = [vault().seal(b"", account=account_id, column=TEMPLATE_COLUMN, row=version_id) for version_id in ids]
    await sql.empty_versions(conn, ids=ids, sealed_templates=sealed)
    await sql.close(conn, account_id=account_id)
