"""The practice wallet: it hands out practice money, and signs transfers of it for its own account, and nothing else."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_utils.address import to_checksum_address

from core.settings import SANDBOX_ASSET, SANDBOX_NETWORK
from sandbox.facilitator import create_app

CHAIN = int(SANDBOX_NETWORK.split(":")[1])


@pytest.fixture
async def wallet() -> httpx.AsyncClient:
    """A facilitator with an empty book."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(":memory:")), base_url="http://practice")


async def ask(wallet: httpx.AsyncClient, account: str, method: str, *params: object) -> dict[str, Any]:
    """What a page asks."""
    body = {"account": account, "method": method, "params": params}
    answer = await wallet.post("/practice/wallet", json=body, headers={"Origin": "http://door"})
    assert answer.headers["access-control-allow-origin"] == "*"
    said: dict[str, Any] = answer.json()
    return said


def transfer(address: str, **domain: object) -> dict[str, Any]:
    """Typed data of a transfer."""
    types = {
        "EIP712Domain": [
            {"name": "chainId", "type": "uint256"},
            {"name": "verifyingContract", "type": "address"},
        ],
        "Transfer": [{"name": "from", "type": "address"}],
    }
    own = {"chainId": CHAIN, "verifyingContract": SANDBOX_ASSET}
    return {"types": types, "primaryType": "Transfer", "domain": own | domain, "message": {"from": address}}


async def test_money_and_signatures(wallet: httpx.AsyncClient) -> None:
    """An account is known by its name, also after a restart; its money does not grow with each question."""
    name = uuid4().hex
    (address,) = (await ask(wallet, name, "eth_requestAccounts"))["result"]
    for _ in range(2):
        assert (await ask(wallet, name, "eth_accounts"))["result"] == [address]
    assert (await wallet.get(f"/practice/payers/{address}")).json()["balance"] == 1_000_000
    assert (await ask(wallet, uuid4().hex, "eth_requestAccounts"))["result"] != [address]

    typed = transfer(address)
    signed = (await ask(wallet, name, "eth_signTypedData_v4", address, json.dumps(typed)))["result"]
    assert Account.recover_message(encode_typed_data(full_message=typed), signature=signed).lower() == address


async def test_messages_to_sign_in_with(wallet: httpx.AsyncClient) -> None:
    """It signs those of its own account (EIP-4361), in hexadecimal (EIP-191), and no other text."""
    name = uuid4().hex
    (address,) = (await ask(wallet, name, "eth_requestAccounts"))["result"]
    text = f"shop.example wants you to sign in with your Ethereum account:\n{to_checksum_address(address)}\n\nNonce: 1é"
    signed = (await ask(wallet, name, "personal_sign", "0x" + text.encode().hex(), address))["result"]
    assert Account.recover_message(encode_defunct(text=text), signature=signed).lower() == address

    other = text.replace(to_checksum_address(address), "0x" + "ab" * 20)
    for message in (other.encode().hex(), b"I owe you".hex(), "0xzz", "ff"):
        assert (await ask(wallet, name, "personal_sign", message, address))["error"]["code"] == -32602, message


async def test_what_it_refuses(wallet: httpx.AsyncClient) -> None:
    """Other chains, other assets, other accounts, other methods, and what is no typed data."""
    name = uuid4().hex
    (address,) = (await ask(wallet, name, "eth_requestAccounts"))["result"]
    refused = [
        ("wallet_switchEthereumChain", [{"chainId": "0x1"}], 4902),
        ("eth_signTypedData_v4", [address, json.dumps(transfer(address, chainId=1))], -32602),
        ("eth_signTypedData_v4", [address, json.dumps(transfer(address, verifyingContract=address))], -32602),
        ("eth_signTypedData_v4", ["0x" + "11" * 20, json.dumps(transfer(address))], -32602),
        ("eth_signTypedData_v4", [address, "nothing"], -32602),
        ("eth_sendTransaction", [{}], 4200),
    ]
    for method, params, code in refused:
        assert (await ask(wallet, name, method, *params))["error"]["code"] == code, method
    assert (await ask(wallet, name, "wallet_switchEthereumChain", {"chainId": hex(CHAIN)}))["result"] is None
    assert (await wallet.get("/practice/wallet.js")).headers["content-type"].startswith("text/javascript")
    assert (await wallet.get("/practice/tx/0x00")).status_code == 404
