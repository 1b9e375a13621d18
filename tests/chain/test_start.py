"""A door does not open on a network whose node is on another chain."""

import json
import os

import pytest

from core.evm import checks
from core.failures import Misconfigured
from core.net import json_client
from tests import forks, servers
from tests.chain.conftest import Market


def test_a_node_of_another_chain(market: Market) -> None:
    """Exit 2, with a sentence that names network and chain, and not the URL, which may hold a key."""
    network, _ = json.loads(market.environment["INSTANT_NETWORKS"])
    elsewhere = json.dumps([network | {"id": "eip155:11155111"}])
    environment = (
        os.environ | market.environment | {"INSTANT_PORT": str(servers.free_port()), "INSTANT_NETWORKS": elsewhere}
    )
    ended = forks.run("cli", "api", environment=environment)

    assert ended.returncode == 2
    sentence = (
        "instant: INSTANT_NETWORKS[0].rpc_url leads to a node of chain 31337, and eip155:11155111 needs one of its own"
    )
    assert ended.stderr.strip().endswith(sentence)
    assert network["rpc_url"] not in ended.stderr


async def test_the_token_of_these_tests_is_right(market: Market, live: None) -> None:
    """A real node and a real contract say what the settings say, and every wrong setting is found."""
    wrong = {"asset": market.chain.bank, "asset_name": "USD Coin", "asset_version": "1"}
    async with json_client.client() as http:
        network = market.chain.network()
        await checks.check_network(http, 0, network)
        for name, value in wrong.items():
            with pytest.raises(Misconfigured, match=rf"^INSTANT_NETWORKS\[0\]\.{name} is no"):
                await checks.check_network(http, 0, network.model_copy(update={name: value}))
