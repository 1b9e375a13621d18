"""Everything the tests share.

Servers start when the first test asks for them, and a fixture imports what only it needs, so that pure tests stay
instant.
"""

import gc
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Nearly all that is imported stays for good: to look for garbage in it takes a fifth of the time to collect the tests.
gc.disable()

# Prefect and the settings read the environment once, the former when imported: so it is made before any of our
# modules is, from nothing that this machine happens to have set.
TEST_DATABASE_URL = os.environ.get("INSTANT_TEST_DATABASE_URL")
for name in [name for name in os.environ if name.startswith(("INSTANT_", "PREFECT_", "OPENAI_"))]:
    del os.environ[name]

from core.secrets.vault import new_master_key  # noqa: E402 - after the environment is clean
from core.settings import settings  # noqa: E402 - after the environment is clean
from tasks.prefect_adapter import client_environment, server_environment  # noqa: E402 - after the environment is clean
from tests import servers  # noqa: E402 - after the environment is clean

if TYPE_CHECKING:
    import httpx
    import schemathesis
    from psycopg import AsyncConnection

    from core import db
    from tests import shops

_state = tempfile.TemporaryDirectory(prefix="instant-tests-", ignore_cleanup_errors=True)
os.environ |= {
    "INSTANT_MODE": "sandbox",
    "INSTANT_MASTER_KEYS": new_master_key("test"),
    "INSTANT_STATE_DIR": _state.name,
    "INSTANT_OPENROUTER_PORT": str(servers.free_port()),
    "INSTANT_FACILITATOR_PORT": str(servers.free_port()),
    "INSTANT_PORT": str(servers.free_port()),
    # Recovery and leases at the pace of tests; everybody comes from one address.
    "INSTANT_RECOVERY_SECONDS": "0.5",
    "INSTANT_HEARTBEAT_SECONDS": "0.5",
    "INSTANT_LEASE_SECONDS": "2",
    # Tests look at probes and metrics before and after what they do.
    "INSTANT_PROBE_SECONDS": "0",
    # One address of this machine, where tests receive notices; its others stay inner ones.
    # What practice providers bill is what is spent; tests of what credit costs set it.
    "INSTANT_OPENROUTER_CREDIT_PERCENT": "0",
    "INSTANT_NOTICE_NETWORKS": '["127.0.0.1/32"]',
    "INSTANT_ADDRESS_RATE": "1000000/minute",
    "INSTANT_REFUSED_RATE": "1000000/minute",
    "INSTANT_ADDRESS_CONNECTIONS": "10000",
    "INSTANT_PREFECT_PORT": str(servers.free_port()),
}
os.environ |= client_environment(settings())


# What waits for processes comes first. Who has nothing left takes tests from the end of the other worker's list, so the
# folders in front stay with one worker: the chain is the very first, because its market takes long to build.
_LONG = ("chain", "deployments", "api", "flows", "cli", "core")


# A test is pure if it asks for none of these fixtures, stands in none of these folders, and its file imports none of
# these modules, which start processes.
_SERVERS = frozenset({"postgres", "prefect_server", "practice_openrouter", "practice_facilitator", "network"})
_PROCESSES = frozenset({"api", "bench", "chain", "cli", "clients", "deployments", "docs", "flows", "pages", "sandbox"})
_STARTERS = frozenset({"doors", "executors", "forks", "servers", "subprocess"})


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make test-fast` does not import what it would not run."""
    is_never_pure = collection_path.parent == Path(__file__).parent and collection_path.name in _PROCESSES
    return True if is_never_pure and config.getoption("markexpr") == "pure" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; and `pure` for what needs no server, which `make test-fast` runs."""
    tests = Path(__file__).parent
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        starts = _STARTERS & vars(item.module).keys() if isinstance(item, pytest.Function) else _STARTERS
        if not asked & _SERVERS and not starts and item.path.relative_to(tests).parts[0] not in _PROCESSES:
            item.add_marker(pytest.mark.pure)

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0]
        return _LONG.index(folder) if folder in _LONG else len(_LONG)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Garbage is collected again, but not looked for in what was imported."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """The plugin of hypothesis imports it to sum up, also where no test did, and that takes most of a second."""
    if not exitstatus and "hypothesis" not in sys.modules:
        session.config.pluginmanager.unregister(name="hypothesispytest")


@pytest.fixture(scope="module")
def passable() -> Iterator[Path]:
    """A folder for state folders: if root runs the tests, Postgres's account may pass to them, as not in pytest's."""
    with tempfile.TemporaryDirectory(prefix="instant-tests-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A Postgres server's URL: INSTANT_TEST_DATABASE_URL, or an embedded one."""
    if TEST_DATABASE_URL:
        yield servers.require_local(TEST_DATABASE_URL)
    else:
        with servers.postgres() as url:
            yield url


@pytest.fixture(scope="session")
def database(postgres: str, empty_database: str) -> Iterator[str]:
    """Our migrated database, as its superuser. From here on the settings name it with the role of doors and flows."""
    with servers.database(postgres, "instant", like=empty_database) as url:
        _use("INSTANT_DATABASE_URL", servers.as_role(url, "instant_app"))
        yield url


@pytest.fixture(scope="session")
def empty_database(postgres: str) -> Iterator[str]:
    """A migrated database that stays empty, to be copied: that is much faster than to migrate."""
    from core.db.migrate import migrate

    with servers.our_database(postgres, "empty") as url:
        migrate(servers.as_role(url, "instant_owner"), "sandbox")
        yield url


@pytest.fixture
def own_database(postgres: str, database: str, empty_database: str) -> Iterator[str]:
    """A migrated database that no other door or launcher looks at; the settings name it during this test."""
    with servers.database(postgres, "own", like=empty_database) as url:
        _use("INSTANT_DATABASE_URL", servers.as_role(url, "instant_app"))
        yield url
        _use("INSTANT_DATABASE_URL", servers.as_role(database, "instant_app"))


@pytest.fixture
async def conn(database: str) -> AsyncIterator["AsyncConnection"]:
    """A connection whose transaction is rolled back after the test."""
    from psycopg import AsyncConnection
    from psycopg.rows import namedtuple_row

    async with await AsyncConnection.connect(database, row_factory=namedtuple_row) as connection:
        yield connection
        await connection.rollback()


@pytest.fixture(scope="session")
def prefect_server(postgres: str) -> Iterator[str]:
    """A Prefect server's API URL, on a database of its own."""
    with servers.database(postgres, "prefect") as url:
        _use("INSTANT_PREFECT_DATABASE_URL", url)
        command = ["deployments.prefect_process"]
        api = settings().prefect_api_url
        environment = os.environ | server_environment(settings())
        output = Path(_state.name) / "prefect-server.log"
        with servers.serving_from_scratch(*command, ready=f"{api}/health", environment=environment, output=output):
            yield api
            # Here, because Prefect reads the environment as it is imported. Without it the last lines of a flow look
            # for a server that is gone, for a minute after the last test.
            from prefect.logging.handlers import APILogHandler

            APILogHandler().flush()


@pytest.fixture(scope="session")
def practice_openrouter() -> Iterator[str]:
    """The practice OpenRouter's base URL; the settings of this process name it."""
    url = settings().openrouter_url
    command = ["sandbox.openrouter", "--port", os.environ["INSTANT_OPENROUTER_PORT"]]
    with servers.serving(*command, ready=f"{url}/models", environment=os.environ):
        yield url


@pytest.fixture(scope="session")
def practice_facilitator() -> Iterator[str]:
    """The practice facilitator's base URL, with its book in the tests' own folder."""
    url = settings().networks[0].facilitator_url
    book = Path(_state.name) / "book.sqlite"
    command = ["sandbox.facilitator", "--port", os.environ["INSTANT_FACILITATOR_PORT"], "--book", str(book)]
    with servers.serving(*command, ready=f"{url}/supported", environment=os.environ):
        yield url


@pytest.fixture(scope="session")
def surroundings(database: str, prefect_server: str, practice_openrouter: str, practice_facilitator: str) -> Path:
    """Everything that a door needs; the folder where doors leave what they print."""
    return Path(_state.name)


@pytest.fixture(scope="session")
def door(surroundings: Path) -> Iterator[str]:
    """The front door with its launcher, as a process of its own; its URL."""
    from tests import doors

    with doors.door(surroundings) as running:
        yield running.url


@pytest.fixture
async def pool(database: str) -> AsyncIterator["db.Pool"]:
    """The door's database."""
    from core import db

    async with db.pool() as pool:
        yield pool


@pytest.fixture
async def http() -> AsyncIterator["httpx.AsyncClient"]:
    """A client without a read timeout that opens a connection for every concurrent request."""
    import httpx

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(timeout=30, limits=limits) as client:
        yield client


@pytest.fixture
async def buyer(practice_facilitator: str) -> "shops.Buyer":
    """A wallet with practice money."""
    from tests import shops

    return await shops.Buyer().fund()


@pytest.fixture(scope="module")
def document(door: str) -> "schemathesis.BaseSchema":
    """The running door's own OpenAPI document."""
    import schemathesis

    return schemathesis.openapi.from_url(f"{door}/docs/openapi.json")


@pytest.fixture
async def shop(surroundings: Path) -> AsyncIterator["shops.Shop"]:
    """A creator with a key of their own and a prompt for sale."""
    from core import db
    from tests import shops

    async with db.pool() as pool:
        yield await shops.open_shop(pool)


def _use(name: str, url: str) -> None:
    os.environ[name] = url
    settings.cache_clear()
