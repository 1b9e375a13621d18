"""The flow `chain_verification`, against a real Prefect server."""

import json
import os
from collections.abc import Iterator

import pytest

from core.settings import settings
from flows.chain_verification import chain_verification
from tests import servers

pytestmark = pytest.mark.usefixtures("own_database", "prefect_server")


@pytest.fixture
def node_away() -> Iterator[None]:
    """The settings of a network whose node is away."""
    network = settings().networks[0].model_copy(update={"rpc_url": f"http://127.0.0.1:{servers.free_port()}"})
    os.environ["INSTANT_NETWORKS"] = json.dumps([network.model_dump()])
    settings.cache_clear()
    yield
    del os.environ["INSTANT_NETWORKS"]
    settings.cache_clear()


@pytest.mark.usefixtures("practice_facilitator")
async def test_a_pass_says_what_it_came_to() -> None:
    """The message of its final state has the counts, and nothing else."""
    state = await chain_verification(return_state=True)

    assert state.is_completed()
    assert state.message == "0 agree, 0 differ, 0 wait"


@pytest.mark.usefixtures("node_away")
async def test_a_chain_that_cannot_be_read_is_a_failure() -> None:
    """Its last success then grows old, and readiness says that the schedule is late."""
    state = await chain_verification(return_state=True)

    assert state.is_failed()
    assert state.message == "0 agree, 0 differ, 0 wait; could not read eip155:402402"
