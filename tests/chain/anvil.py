"""A real chain for tests: anvil with an EIP-3009 token, and transactions that anybody could make on it."""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.types import RPCEndpoint
from x402.schemas import PaymentPayload

from core.settings import Network
from tests import practice, servers

ROOT = Path(__file__).parents[2]
CONTRACTS = json.loads((Path(__file__).parent / "contracts.json").read_text())
CHAIN_ID = 31337
V1_CHAIN_ID = 84532
"""An id that v1 clients have a name for, base-sepolia: what is signed for it would be worth nothing there either."""

TOKEN_NAME = "Practice USD"
NOWHERE = "http://127.0.0.1:9"
"""The URL of a facilitator that is not asked."""


def installed() -> Path | None:
    """Where `make test` put anvil, if npm was there."""
    return next((ROOT / ".chain" / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil*"), None)


@dataclass(frozen=True)
class Chain:
    """One running chain with the token deployed.

    Attributes:
        chain_id: what signatures are bound to.
        url: the node's JSON-RPC.
        token: the asset.
        batch: makes several calls in one transaction.
        bank: an account whose key the node has; it pays for the gas of everything done here.
    """

    chain_id: int
    url: str
    web3: Web3
    token: Contract
    batch: Contract
    bank: str

    @property
    def id(self) -> str:
        """The CAIP-2 id."""
        return f"eip155:{self.chain_id}"

    def network(self, facilitator_url: str = NOWHERE, rpc_url: str = "") -> Network:
        """This chain as a network setting, optionally with gates in front of its servers."""
        return Network(
            id=self.id,
            asset=self.token.address,
            asset_name=TOKEN_NAME,
            facilitator_url=facilitator_url,
            rpc_url=rpc_url or self.url,
        )

    def mint(self, address: str, amount: int) -> None:
        """Mint new tokens for `address`."""
        self.send(self.token.functions.mint(Web3.to_checksum_address(address), amount))

    def give_gas(self, address: str) -> None:
        """Give `address` ether, so that it can send transactions."""
        self.ask("anvil_setBalance", address, hex(10**20))

    def signed(
        self, payer: LocalAccount | None = None, has: int = 2000, pay_to: str = "", **terms: Any
    ) -> PaymentPayload:
        """A payment of 2000 by the SDK's own client, from a wallet that was given `has` tokens."""
        payer = payer or practice.wallet()
        self.mint(payer.address, has)
        extra = {"name": TOKEN_NAME, "version": "2"}
        place = {"network": self.id, "asset": self.token.address, "extra": extra}
        pay_to = pay_to or practice.wallet().address
        return practice.payment(payer, practice.requirements(pay_to=pay_to, **place | terms))

    def bring(self, payment: PaymentPayload) -> str:
        """Submit a signed authorization, as anybody who has seen it may; return the transaction."""
        return self.send(self.transfer(payment))

    def transfer(self, payment: PaymentPayload, signature: bytes | None = None) -> ContractFunction:
        """The transferWithAuthorization call for this payment."""
        signed = payment.payload["authorization"]
        r, s, v = parts(signature or bytes.fromhex(payment.payload["signature"].removeprefix("0x")))
        return self.token.functions.transferWithAuthorization(
            Web3.to_checksum_address(signed["from"]),
            Web3.to_checksum_address(signed["to"]),
            int(signed["value"]),
            int(signed["validAfter"]),
            int(signed["validBefore"]),
            practice.nonce(payment),
            v,
            r,
            s,
        )

    def bring_together(self, *payments: PaymentPayload) -> str:
        """Submit several authorizations in one transaction, in this order."""
        calls = [bytes.fromhex(self.transfer(payment)._encode_transaction_data()[2:]) for payment in payments]
        return self.send(self.batch.functions.run(self.token.address, calls))

    def cancel(self, payer: LocalAccount, nonce: bytes) -> str:
        """Cancel an authorization as the payer; return the transaction."""
        r, s, v = parts(self.sign(payer, "CancelAuthorization", authorizer=payer.address, nonce=nonce))
        return self.send(self.token.functions.cancelAuthorization(payer.address, nonce, v, r, s))

    def move(self, payer: LocalAccount, to: str, amount: int, nonce: bytes | None = None) -> str:
        """Sign another authorization as the payer, and submit it at once; return the transaction."""
        nonce = nonce or secrets.token_bytes(32)
        before = self.now() + 3600
        signature = self.sign(
            payer,
            "TransferWithAuthorization",
            **{"from": payer.address, "to": to, "value": amount, "validAfter": 0, "validBefore": before},
            nonce=nonce,
        )
        r, s, v = parts(signature)
        receiver = Web3.to_checksum_address(to)
        return self.send(
            self.token.functions.transferWithAuthorization(payer.address, receiver, amount, 0, before, nonce, v, r, s)
        )

    def sign(self, signer: LocalAccount, kind: str, **message: Any) -> bytes:
        """An EIP-712 signature in the token's domain; the types follow from the names (EIP-3009)."""
        types = {"nonce": "bytes32", "value": "uint256", "validAfter": "uint256", "validBefore": "uint256"}
        fields = [{"name": name, "type": types.get(name, "address")} for name in message]
        domain = {"name": TOKEN_NAME, "version": "2", "chainId": self.chain_id}
        domain["verifyingContract"] = self.token.address
        return bytes(signer.sign_typed_data(domain, {kind: fields}, message).signature)

    def send(self, call: ContractFunction) -> str:
        """Send a call as a transaction and wait for its block; return its hash, 0x and lower case.

        Raises:
            web3.exceptions.ContractLogicError: with the token's own words, if it reverts.
        """
        sent = call.transact({"from": Web3.to_checksum_address(self.bank)})
        return Web3.to_hex(self.web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.01)["transactionHash"])

    def balance(self, address: str) -> int:
        """The token balance of `address`, in atomic units."""
        return int(self.token.functions.balanceOf(Web3.to_checksum_address(address)).call())

    def received(self, address: str) -> list[str]:
        """The transactions that paid `address`, oldest first."""
        paid = self.token.events.Transfer.get_logs(
            from_block=0, argument_filters={"receiver": Web3.to_checksum_address(address)}
        )
        return [Web3.to_hex(log["transactionHash"]) for log in paid]

    def now(self) -> int:
        """The chain's own clock, in seconds since 1970."""
        return int(self.web3.eth.get_block("latest")["timestamp"])

    def pass_time(self, seconds: int) -> None:
        """Move the chain's clock, not ours, ahead by mining a block."""
        self.ask("evm_increaseTime", seconds)
        self.ask("anvil_mine", 1)

    def ask(self, method: str, *params: object) -> Any:
        """Send a JSON-RPC call of anvil's own."""
        return self.web3.manager.request_blocking(RPCEndpoint(method), params)


def parts(signature: bytes) -> tuple[bytes, bytes, int]:
    """A 65-byte signature as r, s and v."""
    return signature[:32], signature[32:64], signature[64]


@contextmanager
def anvil(binary: Path, chain_id: int) -> Iterator[str]:
    """Start an empty chain; yield the URL of its node."""
    port = servers.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(binary), "--port", str(port), "--chain-id", str(chain_id), "--accounts", "1", "-j", "1", "--silent"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={"HOME": os.environ.get("HOME", "/")})
    try:
        web3 = Web3(HTTPProvider(url))
        deadline = time.monotonic() + 30
        while not web3.is_connected():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("anvil does not answer")
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


@contextmanager
def chain(binary: Path, chain_id: int = CHAIN_ID) -> Iterator[Chain]:
    """Start a chain with the token deployed."""
    with anvil(binary, chain_id) as url, requests.Session() as session:
        web3 = Web3(HTTPProvider(url, session=session))
        yield Chain(chain_id, url, web3, deploy(web3, "token"), deploy(web3, "batch"), web3.eth.accounts[0])


def deploy(web3: Web3, name: str) -> Contract:
    """Deploy a committed contract on the chain."""
    code = web3.eth.contract(abi=CONTRACTS[name]["abi"], bytecode=CONTRACTS[name]["bytecode"])
    sent = code.constructor().transact({"from": web3.eth.accounts[0]})
    receipt = web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.01)
    return web3.eth.contract(address=Web3.to_checksum_address(str(receipt["contractAddress"])), abi=code.abi)
