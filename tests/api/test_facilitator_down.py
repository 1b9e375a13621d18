"""The door while its facilitator is down, and after it stopped serving our network."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from core import db
from core.settings import SANDBOX_NETWORK, settings
from tests import doors, practice, servers, shops
from tests.facilitators import somebody, supports
from tests.shops import Buyer, Shop

INPUTS = {"topic": "the sea"}


@contextmanager
def door_with(surroundings: Path, facilitator: str) -> Iterator[str]:
    """A door with this facilitator, and the practice chain's own node."""
    network = settings().networks[0].model_dump(mode="json", exclude_none=True) | {"facilitator_url": facilitator}
    with doors.door(surroundings, servers.free_port(), INSTANT_NETWORKS=json.dumps([network])) as door:
        yield door.url


async def test_while_it_is_down_nothing_is_claimed(surroundings: Path, shop: Shop) -> None:
    """Probes get 402; payments get 503 with Retry-After, soon without a request; once it is back, it decides again."""
    async with (
        somebody(verify=b"", supported=supports((2, "exact", SANDBOX_NETWORK))) as one,
        db.pool() as pool,
        httpx.AsyncClient(timeout=30) as http,
    ):
        with door_with(surroundings, one.url) as door:
            url = door + shop.path
            paid = {"PAYMENT-SIGNATURE": await Buyer().pay(url, INPUTS)}
            refused = [await http.post(url, json=INPUTS, headers=paid) for _ in range(8)]
            probe = await http.post(url, json=INPUTS)
            asked, claimed = one.count("verify"), await shops.executions(pool, shop)
            one.says["verify"] = practice.reply(200, b'{"isValid": false, "invalidReason": "insufficient_funds"}')

            async def is_back() -> bool:
                return (await http.post(url, json=INPUTS, headers=paid)).status_code == 402

            await shops.eventually(is_back)

    assert {answer.status_code for answer in refused} == {503}
    assert {answer.headers["Retry-After"] for answer in refused} == {"5"}
    assert {answer.json()["error"] for answer in refused} == {"Resource unavailable"}
    assert probe.status_code == 402
    assert (asked, claimed, one.count("settle")) == (5, [], 0)


async def test_a_network_that_it_left_is_not_offered(surroundings: Path, shop: Shop) -> None:
    """It served the network when the door started; once it is known that it left, nothing is offered, as ready says."""
    left = [supports((2, "exact", SANDBOX_NETWORK)), supports((2, "exact", "eip155:8453"))]
    async with somebody(supported=left) as one, httpx.AsyncClient(timeout=30) as http:
        with door_with(surroundings, one.url) as door:

            async def is_gone() -> bool:
                return (await http.get(door + shop.path)).status_code == 503

            await shops.eventually(is_gone)

            async def is_ready() -> bool:
                ready.update((await http.get(f"{door}/health/ready")).json())
                return ready["masterKeys"]["state"] != "unknown"

            ready: dict[str, Any] = {}
            await shops.eventually(is_ready)

    assert one.count("supported") == 2
    assert ready["ready"]
    network = ready["networks"][SANDBOX_NETWORK]
    assert (network["node"], network["facilitator"]) == ("agrees", "not_supported")
    assert "test" in ready["masterKeys"]["opening"]
