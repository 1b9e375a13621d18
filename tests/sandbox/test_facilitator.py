"""The practice facilitator speaks x402 v2 and JSON-RPC like real ones, and its book is always right."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from eth_keys.constants import SECPK1_N
from hypothesis import given, settings
from hypothesis import strategies as st
from x402.http.facilitator_client import HTTPFacilitatorClient
from x402.http.facilitator_client_base import FacilitatorConfig
from x402.schemas import PaymentPayload, PaymentRequirements

from core.settings import SANDBOX_ASSET, SANDBOX_NETWORK
from tests import forks, practice


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of a facilitator for this module."""
    with practice.facilitator() as running:
        yield running


@pytest.fixture(scope="module")
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client for it."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:
        yield client


async def ask(
    http: httpx.AsyncClient, verb: str, paid: PaymentPayload, terms: PaymentRequirements | None = None
) -> dict[str, Any]:
    """The facilitator's JSON response to a payment, with status 200 or 202."""
    answer = await http.post(f"/{verb}", json=request(paid, terms))
    assert answer.status_code in (200, 202)
    return answer.json()


def request(paid: PaymentPayload, terms: PaymentRequirements | None = None) -> dict[str, Any]:
    """The body of a verify or settle call."""
    wanted = (terms or paid.accepted).model_dump(by_alias=True)
    return {
        "x402Version": 2,
        "paymentPayload": paid.model_dump(by_alias=True, exclude_none=True),
        "paymentRequirements": wanted,
    }


async def rpc(http: httpx.AsyncClient, method: str, *params: object) -> Any:
    """The result of one JSON-RPC call."""
    answer = await http.post("/rpc", json={"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
    assert answer.json()["id"] == 7
    return answer.json()["result"]


async def fund(http: httpx.AsyncClient, address: str, amount: int = 1_000_000) -> None:
    """Get tokens from the faucet."""
    (await http.post("/practice/faucet", json={"address": address, "amount": amount})).raise_for_status()


async def plan(http: httpx.AsyncClient, address: str, *faults: str) -> None:
    """Script the next faults for this payer."""
    (await http.put(f"/practice/payers/{address}", json={"faults": faults})).raise_for_status()


async def received(http: httpx.AsyncClient, pay_to: str) -> tuple[int, int]:
    """The number of transfers to a recipient, and their sum."""
    book = (await http.get("/practice/book", params={"pay_to": pay_to})).json()
    return len(book["transfers"]), book["received"].get(pay_to.lower(), 0)


async def test_the_sdks_own_client_verifies_and_settles(url: str, http: httpx.AsyncClient) -> None:
    """A payment of the stock client goes through the stock facilitator client, and the book shows it."""
    payer, seller = practice.wallet(), practice.wallet().address
    await fund(http, payer.address)
    terms = practice.requirements(amount=2500, pay_to=seller)
    paid = practice.payment(payer, terms)
    async with httpx.AsyncClient(trust_env=False) as plain:
        client = HTTPFacilitatorClient(FacilitatorConfig(url=url, http_client=plain))
        verified = await client.verify(paid, terms)
        settled = await client.settle(paid, terms)

    assert verified.is_valid
    assert (settled.success, settled.network, settled.amount) == (True, SANDBOX_NETWORK, "2500")
    book = (await http.get("/practice/book", params={"pay_to": seller})).json()
    assert book == {
        "transfers": [
            {
                "transaction": settled.transaction,
                "payer": payer.address.lower(),
                "payTo": seller.lower(),
                "amount": 2500,
                "nonce": "0x" + practice.nonce(paid).hex(),
            }
        ],
        "received": {seller.lower(): 2500},
    }
    assert (await http.get(f"/practice/payers/{payer.address}")).json() == {
        "settles": 1,
        "verifies": 1,
        "balance": 997_500,
    }


async def test_only_the_practice_chain_is_supported(http: httpx.AsyncClient) -> None:
    """It offers exact on its own chain and nothing else."""
    kinds = (await http.get("/supported")).json()["kinds"]

    assert kinds == [{"x402Version": 2, "scheme": "exact", "network": SANDBOX_NETWORK}]


async def test_one_payload_settled_twenty_times_at_once_is_one_transfer(http: httpx.AsyncClient) -> None:
    """One call succeeds; the others are refused because the nonce is used."""
    payer, seller = practice.wallet(), practice.wallet().address
    await fund(http, payer.address)
    paid = practice.payment(payer, practice.requirements(pay_to=seller))
    answers = await asyncio.gather(*(ask(http, "settle", paid) for _ in range(20)))

    assert sum(answer["success"] for answer in answers) == 1
    refusals = {answer["errorReason"] for answer in answers if not answer["success"]}
    assert refusals == {"invalid_exact_evm_nonce_already_used"}
    assert await received(http, seller) == (1, 2000)


WRONG_TERMS = [
    ({"network": "eip155:8453"}, "network_mismatch"),
    ({"scheme": "upto"}, "unsupported_scheme"),
    ({"asset": "0x" + "ab" * 20}, "asset_not_deployed_contract"),
    ({"payTo": "0x" + "cd" * 20}, "invalid_exact_evm_payload_recipient_mismatch"),
    ({"amount": "2001"}, "invalid_exact_evm_payload_authorization_value_mismatch"),
    ({"extra": {}}, "missing_eip712_domain"),
    ({"extra": {"name": "USD Coin", "version": "2"}}, "invalid_exact_evm_token_name_mismatch"),
    ({"extra": {"name": "SANDBOX USD (no value)", "version": "1"}}, "invalid_exact_evm_token_version_mismatch"),
]


@pytest.mark.parametrize("verb", ["verify", "settle"])
@pytest.mark.parametrize(("change", "reason"), WRONG_TERMS)
async def test_a_payment_for_other_terms_is_refused(
    http: httpx.AsyncClient, verb: str, change: dict[str, object], reason: str
) -> None:
    """The signature is valid, but not for the seller's terms."""
    payer = practice.wallet()
    await fund(http, payer.address)
    answer = await ask(http, verb, practice.payment(payer, practice.requirements()), practice.requirements(**change))

    assert reason in (answer.get("invalidReason"), answer.get("errorReason"))
    assert answer.get("isValid", answer.get("success")) is False
    assert answer.get("transaction", "") == ""


@pytest.mark.parametrize("network", ["eip155:8453", "eip155:84532", "eip155:1", "base", "solana:mainnet"])
async def test_every_other_network_is_refused(http: httpx.AsyncClient, network: str) -> None:
    """It is refused even if payment and terms agree on it."""
    paid = practice.payment(practice.wallet(), practice.requirements())
    terms = practice.requirements(network=network)
    answer = await ask(http, "settle", paid.model_copy(update={"accepted": terms}), terms)

    assert answer["errorReason"] == "invalid_network"


async def test_an_authorization_counts_only_inside_its_window(http: httpx.AsyncClient) -> None:
    """Verify keeps six seconds in reserve; settle uses only the chain's clock."""
    payer, seller = practice.wallet(), practice.wallet().address
    await fund(http, payer.address)
    expired = practice.payment(payer, practice.requirements(seconds=-1, pay_to=seller))
    closing = practice.payment(payer, practice.requirements(seconds=4, pay_to=seller))
    early = practice.early_payment(payer, practice.requirements(pay_to=seller))

    assert (await ask(http, "settle", expired))["errorReason"] == "invalid_exact_evm_payload_authorization_valid_before"
    assert (await ask(http, "verify", closing))["invalidReason"].endswith("valid_before")
    assert (await ask(http, "settle", early))["errorReason"] == "invalid_exact_evm_payload_authorization_valid_after"
    assert (await ask(http, "verify", early))["invalidReason"].endswith("valid_after")
    assert await received(http, seller) == (0, 0)
    assert (await ask(http, "settle", closing))["success"]


async def test_nobody_spends_more_than_they_have(http: httpx.AsyncClient) -> None:
    """Of ten different payments at once from a wallet that can pay for three, three settle."""
    payer, seller = practice.wallet(), practice.wallet().address
    await fund(http, payer.address, 7999)
    payments = [practice.payment(payer, practice.requirements(pay_to=seller)) for _ in range(10)]
    answers = await asyncio.gather(*(ask(http, "settle", paid) for paid in payments))
    broke = await ask(http, "verify", practice.payment(payer, practice.requirements()))

    assert [answer["success"] for answer in answers].count(True) == 3
    assert await received(http, seller) == (3, 6000)
    assert broke["invalidReason"] == "invalid_exact_evm_insufficient_balance"


async def test_only_the_payers_own_low_signature_counts(http: httpx.AsyncClient) -> None:
    """Another wallet's, an altered one, the high twin and a contract wallet's are all refused."""
    payer, terms = practice.wallet(), practice.requirements()
    await fund(http, payer.address)
    paid = practice.payment(payer, terms)
    signature = bytes.fromhex(paid.payload["signature"][2:])
    r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
    twin = r + (SECPK1_N - s).to_bytes(32, "big") + bytes([55 - v])
    others = {
        "stranger": practice.payment(practice.wallet(), terms).payload["signature"],
        "altered": "0x" + (bytes([r[0] ^ 1]) + signature[1:]).hex(),
        "twin": "0x" + twin.hex(),
        "no v": "0x" + signature[:64].hex() + "05",
        "contract": "0x" + (signature * 2).hex(),
        "empty": "0x",
    }
    for name, forged in others.items():
        answer = await ask(http, "settle", paid.model_copy(update={"payload": paid.payload | {"signature": forged}}))
        assert answer["success"] is False, name
        assert answer["errorReason"].startswith("invalid_exact_evm_payload"), name
    assert (await ask(http, "settle", paid))["success"]


FAULTS = [
    ("lose_reply", 1),
    ("pending", 1),
    ("pending_never", 0),
    ("down", 0),
    ("front_run", 1),
    ("cancelled", 0),
    ("refuse:invalid_payload", 0),
    ("slow:0.05", 1),
    ("slow_before:0.05", 1),
]


@pytest.mark.parametrize(("fault", "transfers"), FAULTS)
async def test_a_fault_happens_once_and_does_what_its_name_says(
    http: httpx.AsyncClient, fault: str, transfers: int
) -> None:
    """The book shows whether the transfer was made, whatever the buyer is told."""
    payer, seller = practice.wallet(), practice.wallet().address
    await fund(http, payer.address)
    await plan(http, payer.address, fault)
    first, second = (practice.payment(payer, practice.requirements(pay_to=seller)) for _ in range(2))
    try:
        answer = await http.post("/settle", json=request(first))
        said: dict[str, Any] = answer.json() if answer.status_code < 500 else {}
    except httpx.RemoteProtocolError:
        assert fault == "lose_reply"
        said = {}

    assert (await received(http, seller))[0] == transfers
    assert said.get("success", False) is fault.startswith("slow")
    assert said.get("errorReason") == {
        "pending": "settlement_pending",
        "pending_never": "settlement_pending",
        "front_run": "transaction_failed",
        "cancelled": "invalid_exact_evm_nonce_already_used",
        "refuse:invalid_payload": "invalid_payload",
    }.get(fault)
    assert (await ask(http, "settle", second))["success"]


async def test_verify_has_a_fault_of_its_own(http: httpx.AsyncClient) -> None:
    """The fault of settle stays for the next settlement."""
    payer = practice.wallet()
    await fund(http, payer.address)
    await plan(http, payer.address, "down", "verify_down")
    paid = practice.payment(payer, practice.requirements())
    down = await http.post("/verify", json=request(paid))
    verified = await ask(http, "verify", paid)
    refused = await http.post("/settle", json=request(paid))

    assert (down.status_code, verified["isValid"], refused.status_code) == (503, True, 503)


async def test_an_unknown_fault_is_refused(http: httpx.AsyncClient) -> None:
    """A typing error in a test raises, and is not a fault that never occurs."""
    answer = await http.put(f"/practice/payers/{practice.wallet().address}", json={"faults": ["loose_reply"]})

    assert answer.status_code == 422


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=200), verb=st.sampled_from(["verify", "settle"]))
async def test_bytes_that_are_no_request_are_malformed(http: httpx.AsyncClient, body: bytes, verb: str) -> None:
    """400 and JSON, never 500."""
    answer = await http.post(f"/{verb}", content=body)

    assert answer.status_code == 400
    assert "invalid_payload" in (answer.json().get("invalidReason"), answer.json().get("errorReason"))


@settings(max_examples=120, deadline=None)
@given(data=st.data(), verb=st.sampled_from(["verify", "settle"]))
async def test_a_request_with_one_strange_value_is_answered(
    http: httpx.AsyncClient, data: st.DataObject, verb: str
) -> None:
    """With any value in any one place, the response is JSON at 200 or 400."""
    paid = practice.payment(practice.wallet(), practice.requirements())
    body: Any = request(paid)
    place = body
    while isinstance(place, dict):
        parent, key = place, data.draw(st.sampled_from(sorted(place)))
        place = place[key]
    parent[key] = data.draw(json_values | st.sampled_from(["0x", "0X" + "0" * 64, "1_0", "-1", "٣", "9" * 80]))
    answer = await http.post(f"/{verb}", content=json.dumps(body))

    assert answer.status_code in (200, 400)
    assert answer.json().get("isValid", answer.json().get("success")) is False


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(
        ["eth_getLogs", "eth_call", "eth_getBlockByNumber", "eth_getTransactionReceipt", "eth_chainId"]
    ),
    params=st.lists(
        json_values
        | st.fixed_dictionaries({"to": st.just(SANDBOX_ASSET), "data": st.binary().map(lambda b: "0x" + b.hex())}),
        max_size=3,
    ),
)
async def test_the_node_answers_any_params(http: httpx.AsyncClient, method: str, params: list[object]) -> None:
    """The response is a result or an error, always JSON-RPC."""
    asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = await http.post("/rpc", content=json.dumps(asked))

    assert answer.status_code == 200
    assert ("result" in answer.json()) != ("error" in answer.json())


async def test_the_node_shows_what_was_settled(http: httpx.AsyncClient) -> None:
    """Block, receipt, logs and balance of one settlement, found by topics as on any chain."""
    payer, seller = practice.wallet(), practice.wallet().address
    await fund(http, payer.address, 5000)
    paid = practice.payment(payer, practice.requirements(pay_to=seller))
    before = await rpc(http, "eth_blockNumber")
    settled = await ask(http, "settle", paid)
    topics = [None, "0x" + payer.address[2:].lower().rjust(64, "0")]
    logs = await rpc(http, "eth_getLogs", {"address": SANDBOX_ASSET, "topics": topics, "fromBlock": before})
    receipt = await rpc(http, "eth_getTransactionReceipt", settled["transaction"])
    block = await rpc(http, "eth_getBlockByNumber", receipt["blockNumber"], False)
    balance_of = "0x70a08231" + payer.address[2:].lower().rjust(64, "0")

    assert await rpc(http, "eth_chainId") == hex(402402)
    assert logs == receipt["logs"]
    assert [len(log["topics"]) for log in logs] == [3, 3]
    assert block["transactions"] == [settled["transaction"]]
    assert int(await rpc(http, "eth_call", {"to": SANDBOX_ASSET, "data": balance_of}, "latest"), 16) == 3000
    assert int(await rpc(http, "eth_call", {"to": SANDBOX_ASSET, "data": balance_of}, before), 16) == 5000
    assert await rpc(http, "eth_call", {"to": "0x" + "11" * 20, "data": balance_of}, "latest") == "0x"


async def test_the_node_caps_the_range_of_logs(http: httpx.AsyncClient) -> None:
    """Like public nodes, it makes readers page."""
    asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [{"fromBlock": "0x0", "toBlock": "0x7d0"}]}

    assert (await http.post("/rpc", json=asked)).json()["error"]["code"] == -32005


def test_a_taken_port_is_one_line_and_exit_2() -> None:
    """An operator who started it twice gets no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = forks.run("sandbox.facilitator", "--port", port, "--book", ":memory:", environment=os.environ)

    assert ended.returncode == 2
    assert ended.stderr == f"practice facilitator: port {port} is taken\n"


@pytest.mark.parametrize("verb", ["verify", "settle"])
async def test_a_long_description_is_outside_the_schema(http: httpx.AsyncClient, verb: str) -> None:
    """As at CDP (x402-foundation/x402#2284): 400 with an error, and no verdict."""
    body = {"paymentPayload": {"resource": {"url": "http://door/@a/b", "description": "a" * 501}}}
    answer = await http.post(f"/{verb}", json=body)

    assert answer.status_code == 400
    assert answer.json().keys() == {"errorType", "errorMessage", "correlationId"}
