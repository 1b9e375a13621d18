"""Settled payments are found on the chain, whoever submitted them, and nothing else counts as one."""

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from x402.schemas import PaymentPayload

from core.evm import node as rpc
from core.failures import Unavailable
from core.net.json_client import Client
from core.payments import chain
from core.payments.facilitator import Facilitator
from core.payments.verdicts import Settled
from core.settings import SANDBOX_ASSET, Network
from tests import practice

PAYER, SELLER, OTHER = "0x" + "a1" * 20, "0x" + "b2" * 20, "0x" + "c3" * 20
NONCE, OTHER_NONCE = os.urandom(32), os.urandom(32)
TRANSACTION = "0x" + "7e" * 32
USED = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


async def look(
    http: Client,
    network: Network,
    paid: PaymentPayload,
    *,
    amount: int = 2000,
    since: datetime | None = None,
) -> chain.Landed | chain.NotUsed | chain.UsedElsewhere:
    """The chain's state of a payment."""
    return await chain.landed(
        http,
        network,
        payer=paid.payload["authorization"]["from"].lower(),
        nonce=practice.nonce(paid),
        pay_to=paid.accepted.pay_to.lower(),
        amount_atomic=amount,
        since=since or datetime.now(UTC) - timedelta(minutes=1),
    )


async def test_the_chain_is_the_one_that_was_configured(http: Client, network: Network) -> None:
    """The chain id, to which signatures are bound, must match."""
    assert await rpc.chain_id(http, network) == network.chain_id == 402402


@pytest.mark.parametrize("fault", ["lose_reply", "pending", "front_run"])
async def test_money_that_moved_unseen_is_found(http: Client, network: Network, fault: str) -> None:
    """The transfer is found, whatever the facilitator answered."""
    paid = await practice.funded(network, fault)
    outcome = await Facilitator(network, http).settle(paid, paid.accepted)

    assert not isinstance(outcome, Settled)
    assert [await look(http, network, paid)] == [chain.Landed(one) for one in await practice.booked(network, paid)]


@pytest.mark.parametrize("fault", ["pending_never", "down"])
async def test_money_that_did_not_move_is_not_used_yet(http: Client, network: Network, fault: str) -> None:
    """The answer includes the chain's own clock, so that the caller can tell "not yet" from "never"."""
    paid = await practice.funded(network, fault)
    before = datetime.now(UTC).replace(microsecond=0)
    await Facilitator(network, http).settle(paid, paid.accepted)
    seen = await look(http, network, paid)

    assert isinstance(seen, chain.NotUsed)
    assert before <= seen.chain_time <= datetime.now(UTC)
    await Facilitator(network, http).settle(paid, paid.accepted)
    assert isinstance(await look(http, network, paid), chain.Landed)


async def test_a_cancelled_authorization_never_lands(http: Client, network: Network) -> None:
    """The nonce is used, and no transfer was made."""
    paid = await practice.funded(network, "cancelled")
    await Facilitator(network, http).settle(paid, paid.accepted)

    assert await look(http, network, paid) == chain.UsedElsewhere()


async def test_another_amount_is_not_our_payment(http: Client, network: Network) -> None:
    """Only a transfer of exactly the price counts."""
    paid = await practice.funded(network)
    await Facilitator(network, http).settle(paid, paid.accepted)

    assert await look(http, network, paid, amount=2001) == chain.UsedElsewhere()


async def test_the_search_goes_back_page_by_page_as_far_as_since(http: Client, network: Network) -> None:
    """Five thousand blocks later the transfer is found, unless the caller's bound says not to look that far."""
    paid = await practice.funded(network)
    await Facilitator(network, http).settle(paid, paid.accepted)
    (await http.post(f"{network.facilitator_url}/practice/mine?blocks=5000")).raise_for_status()

    assert [await look(http, network, paid)] == [chain.Landed(one) for one in await practice.booked(network, paid)]
    with pytest.raises(Unavailable, match=r"^chain_incomplete$"):
        await look(http, network, paid, since=datetime.now(UTC) + timedelta(hours=1))


def log(index: int, *topics: str, data: str = "0x", address: str = SANDBOX_ASSET) -> dict[str, Any]:
    """One event of TRANSACTION."""
    return {
        "address": address,
        "topics": topics,
        "data": data,
        "logIndex": hex(index),
        "transactionHash": TRANSACTION,
    }


def used(index: int, nonce: bytes) -> dict[str, Any]:
    """The log that PAYER's authorization was used."""
    return log(index, USED, padded(PAYER), "0x" + nonce.hex())


def moved(index: int, to: str, amount: int, address: str = SANDBOX_ASSET) -> dict[str, Any]:
    """The log of a transfer from PAYER."""
    return log(index, TRANSFER, padded(PAYER), padded(to), data=f"0x{amount:064x}", address=address)


def padded(address: str) -> str:
    """An address as a topic."""
    return "0x" + address[2:].rjust(64, "0")


async def decide(http: Client, results: dict[str, Any]) -> chain.Landed | chain.NotUsed | chain.UsedElsewhere:
    """Our decision for a node that answers each method with one result."""

    def say(body: bytes) -> bytes:
        method = json.loads(body)["method"]
        return practice.reply(200, json.dumps({"jsonrpc": "2.0", "id": 1, "result": results.get(method)}).encode())

    async with practice.scripted(say) as url:
        return await chain.landed(
            http,
            practice.network(url),
            payer=PAYER,
            nonce=NONCE,
            pay_to=SELLER,
            amount_atomic=2000,
            since=datetime.now(UTC),
        )


def node(*logs: dict[str, Any], status: str = "0x1") -> dict[str, Any]:
    """A node that knows one transaction with these logs, among them the use of NONCE."""
    return {
        "eth_chainId": hex(402402),
        "eth_getBlockByNumber": {"number": "0x10", "timestamp": "0x69000000"},
        "eth_call": "0x" + "1".rjust(64, "0"),
        "eth_getLogs": [entry for entry in logs if "0x" + NONCE.hex() in entry["topics"]],
        "eth_getTransactionReceipt": {"status": status, "logs": logs},
    }


ONE_TRANSACTION = {
    "ours": (node(used(0, NONCE), moved(1, SELLER, 2000)), True),
    "ours, listed backwards": (node(moved(1, SELLER, 2000), used(0, NONCE)), True),
    "ours, with another token's event between": (
        node(used(0, NONCE), moved(1, OTHER, 5, address=OTHER), moved(2, SELLER, 2000)),
        True,
    ),
    "reverted": (node(used(0, NONCE), moved(1, SELLER, 2000), status="0x0"), False),
    "to somebody else": (node(used(0, NONCE), moved(1, OTHER, 2000)), False),
    "of another token": (node(used(0, NONCE), moved(1, SELLER, 2000, address=OTHER)), False),
    "nobody paid": (node(used(0, NONCE)), False),
    "another authorization's transfer before": (
        node(used(0, OTHER_NONCE), moved(1, SELLER, 2000), used(2, NONCE), moved(3, OTHER, 2000)),
        False,
    ),
    "another authorization's transfer after": (
        node(used(0, NONCE), moved(1, OTHER, 1), used(2, OTHER_NONCE), moved(3, SELLER, 2000)),
        False,
    ),
}


@pytest.mark.parametrize("case", ONE_TRANSACTION)
async def test_one_transfer_pays_for_one_authorization(http: Client, case: str) -> None:
    """If a payer signs one nonce twice, or batches, one transfer is found for one authorization."""
    results, is_paid = ONE_TRANSACTION[case]

    assert await decide(http, results) == (chain.Landed(TRANSACTION) if is_paid else chain.UsedElsewhere())


async def test_a_node_that_hides_the_log_decides_nothing(http: Client) -> None:
    """The nonce is used but its log is missing: the node's index lags, and the transfer may well exist."""
    with pytest.raises(Unavailable, match=r"^chain_incomplete$"):
        await decide(http, node())


async def test_a_node_of_another_chain_decides_nothing(http: Client) -> None:
    """A nonce that is unused there may be used here."""
    elsewhere = node() | {"eth_chainId": "0x1", "eth_call": "0x" + "0" * 64}
    with pytest.raises(Unavailable, match=r"^chain_wrong$"):
        await decide(http, elsewhere)


async def test_a_dead_node_decides_nothing(http: Client) -> None:
    """The exception holds nothing of the failed call, because node URLs hold keys."""
    async with practice.scripted(lambda _: b"") as url:
        pass
    with pytest.raises(Unavailable, match=r"^chain_unreachable$") as raised:
        await rpc.chain_id(http, practice.network(url))
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


strange = (
    st.none() | st.integers() | st.text(max_size=10) | st.sampled_from(["0x", "0x0", "0x" + "2" * 64, [], [{}], {}])
)


@settings(max_examples=60, deadline=None)
@given(method=st.sampled_from(sorted(node())), result=strange)
async def test_a_node_that_answers_nonsense_decides_nothing_wrong(http: Client, method: str, result: object) -> None:
    """With one result replaced by anything, either the payment is found or nothing is decided."""
    try:
        seen = await decide(http, node(used(0, NONCE), moved(1, SELLER, 2000)) | {method: result})
    except Unavailable:
        return
    assert seen == chain.Landed(TRANSACTION)
