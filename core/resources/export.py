"""Give a creator everything that they made: every version of every resource, with its template."""

import json
from uuid import UUID

from core import db
from core.db.queries.export import sql
from core.failures import Unreadable
from core.resources.versions import TEMPLATE_COLUMN
from core.secrets.vault import vault

_OURS = ("id", "resource_id", "sealed_")


async def versions(conn: db.Connection, account_id: UUID) -> list[dict[str, object]]:
    """List all versions by slug and number, also replaced and archived ones.

    Each is a dict of its slug, `archived_at` (UTC), its columns, and `template`: None if its master key is gone.
    Fractions are text, because a float would change them.
    """
    found = []
    async for row in sql.versions(conn, account_id=account_id):
        columns = json.loads(row.document, parse_float=str)
        fields = {name: value for name, value in columns.items() if not name.startswith(_OURS)}
        template = _template(account_id, row.id, row.sealed_template)
        found.append({"slug": row.slug, "archived_at": row.archived_at, **fields, "template": template})
    return found


def _template(account_id: UUID, version_id: UUID, sealed: bytes) -> str | None:
    try:
        return vault().open(sealed, account=account_id, column=TEMPLATE_COLUMN, row=version_id).reveal().decode()
    except Unreadable:
        return None
