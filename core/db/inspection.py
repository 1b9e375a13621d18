"""What the docs say to look after in Postgres: version, extension, role and its rights, clock, TLS."""

from dataclasses import dataclass
from datetime import datetime

from core.db.pool import Connection
from core.db.sql import required

OLDEST = 15
"""The oldest major version of Postgres that our SQL runs on."""

_QUERY = """
SELECT current_setting('server_version_num')::integer / 10000 AS version,
    EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') AS has_trigrams,
    current_user::text AS role, pg_roles.rolsuper AS is_superuser,
    EXISTS (SELECT FROM pg_class WHERE relowner = pg_roles.oid AND relnamespace = 'public'::regnamespace) AS owns,
    coalesce(pg_has_role(current_user, to_regrole('instant_creator')::oid, 'MEMBER'), false) AS becomes_creator,
    has_schema_privilege('public', 'USAGE')
        AND (SELECT bool_and(coalesce(has_table_privilege(to_regclass('payments')::oid, right_), true))
            FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS right_) AS writes,
    clock_timestamp() AS clock,
    coalesce(inet_server_addr() IS NOT NULL AND host(inet_server_addr()) NOT LIKE '127.%'
        AND host(inet_server_addr()) <> '::1', false) AS is_remote,
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS is_encrypted,
    current_setting('max_connections')::integer AS most_connections
FROM pg_roles WHERE rolname = current_user
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What Postgres says about itself and about the role that asks.

    Attributes:
        version: the major version.
        has_trigrams: whether the extension pg_trgm is in the database.
        role: the role that asks; `is_superuser`, and whether it `owns` tables.
        becomes_creator: whether it may act as instant_creator, which keeps creators apart.
        writes: whether it may read and write rows; also true if there is no table yet.
        clock: UTC.
        is_remote: whether the server is on another host; `is_encrypted`: whether by TLS.
        most_connections: of all processes together.
    """

    version: int
    has_trigrams: bool
    role: str
    is_superuser: bool
    owns: bool
    becomes_creator: bool
    writes: bool
    clock: datetime
    is_remote: bool
    is_encrypted: bool
    most_connections: int


async def inspect(conn: Connection) -> Facts:
    """Ask for all facts at once."""
    row = required(await (await conn.execute(_QUERY.encode())).fetchone())
    return Facts(**row._asdict())
