"""Start the processes that a drill needs: Postgres, Prefect and both practice servers, on free ports."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from psycopg.rows import namedtuple_row
from psycopg_pool import AsyncConnectionPool

from core import db
from core.db.migrate import migrate
from core.secrets.vault import new_master_key
from core.settings import Settings, settings
from deployments import postgres as embedded
from tasks.prefect_adapter import client_environment, server_environment
from tests import forks, servers

# Longer than a busy machine takes to start Postgres again.
_CONNECT_SECONDS = 120

# Short leases and recovery intervals; and no rate limits, because all requests come from one address.
PACE = {
    "INSTANT_HEARTBEAT_SECONDS": "0.5",
    "INSTANT_LEASE_SECONDS": "2",
    "INSTANT_RECOVERY_SECONDS": "0.5",
    "INSTANT_ADDRESS_RATE": "1000000/minute",
    "INSTANT_REFUSED_RATE": "1000000/minute",
    "INSTANT_ADDRESS_CONNECTIONS": "10000",
}


@dataclass(frozen=True)
class Surroundings:
    """A folder for the output, and the Postgres server on which databases are made."""

    folder: Path
    postgres: str


@contextmanager
def surroundings(
    *needed: str,
    changes: Mapping[str, str] = MappingProxyType({}),
    durable: bool = False,
    pace: Mapping[str, str] = PACE,
) -> Iterator[Surroundings]:
    """Start everything but the door, and put its URLs into the environment and the settings of this process.

    Args:
        needed: start only these beside Postgres, by their modules.
        changes: INSTANT_* variables that differ.
        durable: use a Postgres that writes to the disk, as the product does, so that it may be killed.
        pace: the INSTANT_* variables that most drills change.
    """
    for name in [name for name in os.environ if name.startswith(("INSTANT_", "PREFECT_", "OPENAI_"))]:
        del os.environ[name]
    with ExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(prefix="instant-drill-", ignore_cleanup_errors=True))
        folder = Path(made)
        if durable:
            urls = stack.enter_context(embedded.running(folder))
            postgres, prefect = urls.superuser, urls.prefect
        else:
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
            **pace,
            **changes,
        }
        settings.cache_clear()
        os.environ |= client_environment(settings())
        for name in needed or _COMMANDS:
            stack.enter_context(serving(folder, name))
        yield Surroundings(folder, postgres)


@contextmanager
def database(surroundings: Surroundings) -> Iterator[str]:
    """Create a migrated database; yield its URL."""
    with servers.our_database(surroundings.postgres, "drill") as url:
        migrate(url, "sandbox")
        yield url


def pool(database_url: str) -> db.Pool:
    """Make a pool for one of several databases; the product's own pool uses only that of the settings."""
    return AsyncConnectionPool(
        database_url, kwargs={"row_factory": namedtuple_row}, max_size=8, open=False, timeout=_CONNECT_SECONDS
    )


def serving(folder: Path, name: str) -> AbstractContextManager["forks.Fork | subprocess.Popen[bytes]"]:
    """Run one of the servers, by its module or as `prefect`, until the block ends."""
    config, environment, is_prefect = settings(), dict(os.environ), name == "prefect"
    if is_prefect:
        environment |= server_environment(config)
    module = "deployments.prefect_process" if is_prefect else name
    start = servers.serving_from_scratch if is_prefect else servers.serving
    arguments, ready = _COMMANDS[name](config, folder)
    return start(module, *arguments, ready=ready, environment=environment, output=folder / f"{name}.log")


# Each server's arguments, and a URL that answers once it serves.
_COMMANDS: dict[str, Callable[[Settings, Path], tuple[list[str], str]]] = {
    "prefect": lambda config, _folder: ([], f"{config.prefect_api_url}/health"),
    "sandbox.openrouter": lambda config, _folder: (
        ["--port", str(config.openrouter_port), "--latency", "0.05"],
        f"{config.openrouter_url}/models",
    ),
    "sandbox.facilitator": lambda config, folder: (
        ["--port", str(config.facilitator_port), "--book", str(folder / "book.sqlite")],
        f"{config.networks[0].facilitator_url}/supported",
    ),
}
