"""Who lists a contract wallet's purchases: the contract, and only those of its own chain."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from eth_account import Account as Wallet
from x402.extensions.sign_in_with_x import encode_siwx_header
from x402.extensions.sign_in_with_x.types import SIWxPayload

from core import db
from core.accounts.sign_in import SignedIn
from core.net.json_client import Client
from core.payments import purchases
from core.settings import SANDBOX_NETWORK
from tests import orders


@pytest.mark.parametrize("is_contract", [False, True])
async def test_a_contract_is_one_chains(database: str, monkeypatch: pytest.MonkeyPatch, is_contract: bool) -> None:
    """On another chain its address may be somebody else's; a key is the same everywhere."""
    async with db.pool() as pool:
        await check(pool, monkeypatch, is_contract)


async def check(pool: db.Pool, monkeypatch: pytest.MonkeyPatch, is_contract: bool) -> None:
    sold, worker = await orders.version(pool), await orders.hire(pool)
    execution_id = await orders.pay(pool, sold, worker)
    wallet = Wallet.create().address
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE payments SET payer = %s FROM executions WHERE payment_id = payments.id AND executions.id = %s",
            [wallet.lower(), execution_id],
        )

    async def listed(network: str) -> list[object]:
        async def vouch(_http: Client, text: str, _signature: str, use: str) -> SignedIn:
            assert use == "purchases"
            assert f"\n{wallet}\n" in text
            return SignedIn(wallet.lower(), network, is_contract, uuid4().hex)

        monkeypatch.setattr(purchases.sign_in, "verify", vouch)
        fields = {
            "domain": "here",
            "address": wallet,
            "uri": "http://here/",
            "version": "1",
            "chainId": SANDBOX_NETWORK,
            "type": "eip191",
            "nonce": "n",
            "issuedAt": datetime.now(UTC).isoformat(),
            "signature": "0x",
        }
        reader = await purchases.prove(pool, None, encode_siwx_header(SIWxPayload(**fields)))  # type: ignore[arg-type]
        async with pool.connection() as conn:
            found, following = await purchases.page(conn, reader, 10)
        assert following is None
        return [row.id for row in found]

    assert await listed(SANDBOX_NETWORK) == [execution_id]
    assert await listed("eip155:1") == ([] if is_contract else [execution_id])
