"""A door does not open on a network whose node is on another chain."""

import json
import os

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
    sentence = "instant: INSTANT_NETWORKS: the rpc_url of eip155:11155111 leads to a node of chain 31337"
    assert ended.stderr.strip().endswith(sentence)
    assert network["rpc_url"] not in ended.stderr
