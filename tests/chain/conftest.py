"""A market on a real chain: the node, a facilitator, and a door in live mode with a separate database.

`make test` installs the node when npm is there; without it, these tests are skipped.
"""

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account import Account

from core import db
from core.db.migrate import migrate
from core.settings import settings
from tests import doors, servers, shops
from tests.chain import anvil, facilitator
from tests.chain.anvil import V1_CHAIN_ID, Chain
from tests.chain.gate import Gate, gate
from tests.shops import PRICE_ATOMIC, Buyer, Shop


@dataclass(frozen=True)
class Market:
    """All parts of a sale, with gates where faults can be injected.

    Attributes:
        v1_chain: a second chain, which has a name in v1.
        door: the door's URL.
        environment: the door's environment.
        facilitator: the gate between the door and the facilitator.
        node: the gate between the door and the node; the facilitator uses the node directly.
    """

    chain: Chain
    v1_chain: Chain
    door: str
    environment: dict[str, str]
    facilitator: Gate
    node: Gate


@pytest.fixture(scope="session")
def node_binary() -> Path:
    """The path of the node's program."""
    if binary := anvil.installed():
        return binary
    pytest.skip("there is no anvil in .chain/; `make test` puts it there if npm is installed")


@pytest.fixture(scope="session")
def chain(node_binary: Path) -> Iterator[Chain]:
    """A chain of our own."""
    with anvil.chain(node_binary) as running:
        yield running


@pytest.fixture(scope="session")
def market(
    chain: Chain,
    node_binary: Path,
    postgres: str,
    prefect_server: str,
    practice_openrouter: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Market]:
    """Start everything, with waiting times short enough for tests."""
    folder = tmp_path_factory.mktemp("chain")
    port = servers.free_port()
    with (
        servers.our_database(postgres, "live") as database,
        anvil.chain(node_binary, V1_CHAIN_ID) as v1_chain,
        _facilitator(chain, v1_chain) as facilitator_url,
        gate(facilitator_url) as at_facilitator,
        gate(chain.url) as at_node,
    ):
        migrate(database, "live")
        networks = [chain.network(at_facilitator.url, at_node.url), v1_chain.network(facilitator_url)]
        environment = {
            "INSTANT_MODE": "live",
            "INSTANT_DATABASE_URL": database,
            "INSTANT_NETWORKS": json.dumps([network.model_dump() for network in networks]),
            "INSTANT_OPENROUTER_URL": practice_openrouter,
            "INSTANT_PORT": str(port),
            "INSTANT_CHAIN_MARGIN_SECONDS": "2",
            "INSTANT_WATCH_SECONDS": "0.2",
        }
        with doors.door(folder, port, **environment) as running:
            yield Market(chain, v1_chain, running.url, environment, at_facilitator, at_node)


@pytest.fixture
def live(market: Market) -> Iterator[None]:
    """Give this process the settings of the market's door during the test."""
    before = dict(os.environ)
    os.environ |= market.environment
    settings.cache_clear()
    yield
    os.environ.clear()
    os.environ |= before
    settings.cache_clear()


@pytest.fixture
async def pool(live: None) -> AsyncIterator[db.Pool]:
    """The door's database."""
    async with db.pool() as pool:
        yield pool


@pytest.fixture
async def shop(pool: db.Pool) -> Shop:
    """A creator with a payout address on the chain."""
    return await shops.open_shop(pool)


@pytest.fixture
def buyer(market: Market, live: None) -> Buyer:
    """A wallet with tokens on the chain."""
    buyer = Buyer()
    market.chain.mint(buyer.wallet.address, 100 * PRICE_ATOMIC)
    return buyer


@contextmanager
def _facilitator(*chains: Chain) -> Iterator[str]:
    """Start the facilitator as a separate process with a fresh key; return its URL."""
    port = servers.free_port()
    url = f"http://127.0.0.1:{port}"
    signer = Account.create()
    command = ["tests.chain.facilitator", "--port", str(port)]
    for chain in chains:
        chain.give_gas(signer.address)
        command += ["--node", f"{chain.id}={chain.url}"]
    environment = os.environ | {facilitator.KEY: signer.key.hex()}
    with servers.serving(*command, ready=f"{url}/supported", environment=environment):
        yield url
