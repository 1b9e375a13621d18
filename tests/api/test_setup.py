"""What a start could only warn of is asked again, and named."""

import json
from uuid import uuid4

import pytest

from api.setup import Setup
from core import db
from core.net import json_client
from core.payments.facilitator import Facilitator
from core.payments.settlement import PaymentClients
from core.secrets.vault import Vault, new_master_key
from core.settings import SANDBOX_NETWORK
from tests import practice
from tests.facilitators import somebody


async def test_a_node_that_comes_back_on_another_chain(
    database: str, practice_facilitator: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked until it agrees with the settings, and no longer."""
    says: list[bytes] = [b""]
    asked: list[str] = []

    def say(body: bytes) -> bytes:
        asked.append(json.loads(body)["method"])
        return says[0]

    async with (
        practice.scripted(say) as node,
        somebody(supported=practice.reply(401, b"{}")) as one,
        json_client.client() as http,
        db.pool() as pool,
    ):
        network = practice.network(one.url).model_copy(update={"rpc_url": node})
        facilitator = Facilitator(network, http)
        networks = {network.id: network}
        setup = Setup(PaymentClients(http, networks, {network.id: facilitator}))
        assert setup.network(SANDBOX_NETWORK) == {"node": "unknown", "facilitator": "unknown"}
        assert setup.master_keys() == {"state": "unknown"}

        await setup.look(pool)
        assert setup.nodes == {SANDBOX_NETWORK: "unreachable"}
        says[0] = practice.reply(200, b'{"jsonrpc": "2.0", "id": 1, "result": "0x1"}')
        await setup.look(pool)
        assert setup.network(SANDBOX_NETWORK) == {"node": "differs", "facilitator": "unauthorised"}
        sentence = "INSTANT_NETWORKS[0].rpc_url leads to a node of chain 1, and eip155:402402 needs one of its own"
        assert sentence in caplog.messages

        networks[network.id] = network.model_copy(update={"rpc_url": f"{practice_facilitator}/rpc"})
        await setup.look(pool)
        assert setup.nodes == {SANDBOX_NETWORK: "agrees"}
        networks[network.id] = network
        count = len(asked)
        await setup.look(pool)
        assert len(asked) == count


async def test_master_keys_that_are_missing(own_database: str) -> None:
    """Ready names their ids, which are no secrets."""
    account, row = uuid4(), uuid4()
    sealed = Vault(new_master_key("gone")).seal(b"x", account=account, column="notice_addresses.sealed_url", row=row)
    async with json_client.client() as http, db.pool() as pool:
        async with pool.connection() as conn:
            await conn.execute(
                "INSERT INTO notice_addresses (id, name, scheme, sealed_url) VALUES (%s, 'x', 'json', %s)",
                [row, sealed],
            )
        setup = Setup(PaymentClients(http, {}, {}))
        await setup.look(pool)

    assert setup.master_keys() == {"state": "broken", "opening": (), "missing": ("gone",), "other": ()}
