"""The two databases of the embedded Postgres, one for us and one for Prefect: their roles and URLs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

# \gexec runs the query's result. Prefect's database records orchestration, not money: a power cut may lose its last
# moment, and not waiting for the disk makes every run cheaper.
_DATABASES = r"""
SELECT 'CREATE DATABASE ' || name FROM unnest(ARRAY['instant', 'prefect']) AS name
WHERE name NOT IN (SELECT datname FROM pg_database) \gexec
ALTER DATABASE prefect SET synchronous_commit = off;
"""

ROLES = Path(__file__).parent / "roles"
"""The roles of each database and what they may do, as SQL for a superuser, in files named after the databases."""

OWNER = "INSTANT_OWNER_DATABASE_URL"
"""The variable that only migrations need."""


@dataclass(frozen=True)
class Urls:
    """The libpq URLs of the two databases, over a Unix socket and without a password.

    Attributes:
        instant: ours, for doors, executors and flows.
        owner: ours, for migrations.
        prefect: Prefect's.
        superuser: ours, for tests and drills, which make more databases.
    """

    instant: str
    owner: str
    prefect: str
    superuser: str

    def environment(self) -> dict[str, str]:
        """Return the variables that `core.settings` reads."""
        return {
            "INSTANT_DATABASE_URL": self.instant,
            OWNER: self.owner,
            "INSTANT_PREFECT_DATABASE_URL": self.prefect,
        }


def set_up() -> Iterator[tuple[str, str]]:
    """Yield databases, each with statements of psql for a superuser in it. All may be repeated at every start."""
    yield "postgres", _DATABASES
    for name in ("instant", "prefect"):
        yield name, (ROLES / f"{name}.sql").read_text()


def urls(sockets: str) -> Urls:
    """Return the URLs of the server whose Unix socket is in this folder."""
    host = quote(sockets, safe="/")
    return Urls(
        instant=f"postgresql://instant_app@/instant?host={host}",
        owner=f"postgresql://instant_owner@/instant?host={host}",
        prefect=f"postgresql://prefect@/prefect?host={host}",
        superuser=f"postgresql://postgres@/instant?host={host}",
    )
