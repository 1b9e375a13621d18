"""What a drill runs on: Postgres, Prefect and both practice servers, as processes on ports that are free."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg.rows import namedtuple_row
from psycopg_pool import AsyncConnectionPool

from core import db
from core.db.migrate import migrate
from core.settings import settings
from core.vault import new_master_key
from deployments.prefect_server import client_environment, server_environment
from tests import servers

# Leases and recovery at the pace of a drill; everybody comes from one address.
_PACE = {
    "INSTANT_HEARTBEAT_SECONDS": "0.5",
    "INSTANT_LEASE_SECONDS": "2",
    "INSTANT_RECOVERY_SECONDS": "0.5",
    "INSTANT_ADDRESS_RATE": "1000000/minute",
}


@dataclass(frozen=True)
class Surroundings:
    """A folder for what is printed, and the Postgres server on which databases are made."""

    folder: Path
    postgres: str


@contextmanager
def surroundings(*needed: str, **changes: str) -> Iterator[Surroundings]:
    """Start everything but the door; the environment and the settings of this process name it.

    Args:
        needed: start only these beside Postgres, by their modules.
        changes: INSTANT_* variables that differ.
    """
    for name in [name for name in os.environ if name.startswith(("INSTANT_", "PREFECT_", "OPENAI_"))]:
        del os.environ[name]
    with ExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(prefix="instant-drill-", ignore_cleanup_errors=True))
        folder = Path(made)
        postgres = stack.enter_context(servers.postgres())
        prefect = stack.enter_context(servers.database(postgres, "prefect"))
        os.environ |= {
            "INSTANT_MODE": "sandbox",
            "INSTANT_MASTER_KEYS": new_master_key("drill"),
            "INSTANT_STATE_DIR": str(folder),
            "INSTANT_DATABASE_URL": postgres,
            "INSTANT_PREFECT_DATABASE_URL": prefect,
            "INSTANT_OPENROUTER_PORT": str(servers.free_port()),
            "INSTANT_FACILITATOR_PORT": str(servers.free_port()),
            "INSTANT_PREFECT_PORT": str(servers.free_port()),
            **_PACE,
            **changes,
        }
        settings.cache_clear()
        os.environ |= client_environment(settings())
        for command, ready, environment in _servers(folder):
            if needed and command[0] not in needed:
                continue
            output = folder / f"{command[0]}.log"
            serving = servers.serving_from_scratch if command[0] == "prefect" else servers.serving
            stack.enter_context(serving(*command, ready=ready, environment=environment, output=output))
        yield Surroundings(folder, postgres)


@contextmanager
def database(surroundings: Surroundings) -> Iterator[str]:
    """A migrated database, as its URL."""
    with servers.database(surroundings.postgres, "drill") as url:
        migrate(url, "sandbox")
        yield url


def pool(database_url: str) -> db.Pool:
    """Connections to one of several databases: the product's own pool knows only that of the settings."""
    return AsyncConnectionPool(database_url, kwargs={"row_factory": namedtuple_row}, max_size=8, open=False)


def _servers(folder: Path) -> Iterator[tuple[list[str], str, dict[str, str]]]:
    """Command, a URL that answers once it serves, and environment of each."""
    config, environment = settings(), dict(os.environ)
    prefect = f"{config.prefect_api_url}/health"
    yield ["prefect", "server", "start"], prefect, environment | server_environment(config)
    openrouter = ["sandbox.openrouter", "--port", str(config.openrouter_port), "--latency", "0.05"]
    yield openrouter, f"{config.openrouter_url}/models", environment
    facilitator = ["sandbox.facilitator", "--port", str(config.facilitator_port), "--book", str(folder / "book.sqlite")]
    yield facilitator, f"{config.networks[0].facilitator_url}/supported", environment
