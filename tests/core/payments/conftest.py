"""One practice facilitator and one HTTP client for all tests of payments."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from core.net import json_client
from core.net.json_client import Client
from core.settings import Network, settings
from tests import practice


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """The practice network, with its facilitator running."""
    with practice.facilitator() as url:
        yield practice.network(url)


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[Client]:
    """An HTTP client with the payments' own timeouts."""
    async with json_client.client() as client:
        yield client


@pytest.fixture
def impatient() -> Iterator[None]:
    """Set INSTANT_FACILITATOR_TIMEOUT_SECONDS to half a second."""
    os.environ["INSTANT_FACILITATOR_TIMEOUT_SECONDS"] = "0.5"
    settings.cache_clear()
    yield
    del os.environ["INSTANT_FACILITATOR_TIMEOUT_SECONDS"]
    settings.cache_clear()
