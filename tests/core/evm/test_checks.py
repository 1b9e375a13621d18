"""The chain says whether a network's settings are right, before a buyer pays."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account.messages import encode_typed_data
from eth_utils.abi import function_signature_to_4byte_selector
from hypothesis import given, settings
from hypothesis import strategies as st

from core.evm import checks
from core.failures import Misconfigured, Unavailable
from core.net import json_client
from core.net.json_client import Client
from core.settings import Network
from tests import practice

USDC = Network(
    id="eip155:84532",
    facilitator_url="http://127.0.0.1:9",
    rpc_url="http://127.0.0.1:9",
)
REVERTED = {"error": {"code": 3, "message": "VM execution error"}}
ABSENT = {"result": "0x"}
ZERO = {"result": "0x" + "00" * 32}


def text(value: str) -> dict[str, Any]:
    """A string as a contract returns it."""
    return {"result": "0x" + encode(["string"], [value]).hex()}


def number(value: int) -> dict[str, Any]:
    """A number as a contract returns it."""
    return {"result": f"0x{value:064x}"}


SEPARATOR = {"result": "0x" + checks.domain_separator(USDC).hex()}
# What a node says about USDC on Base Sepolia, by method or by the function that is called.
RIGHT: dict[str, dict[str, Any]] = {
    "eth_chainId": {"result": "0x14a34"},
    "eth_getCode": {"result": "0x60806040"},
    "decimals()": number(6),
    "authorizationState(address,bytes32)": ZERO,
    "DOMAIN_SEPARATOR()": SEPARATOR,
    "name()": text("USDC"),
    "version()": text("2"),
}
SELECTORS = {"0x" + function_signature_to_4byte_selector(name).hex(): name for name in RIGHT if "(" in name}


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[Client]:
    """An HTTP client for nodes."""
    async with json_client.client() as client:
        yield client


async def check(http: Client, said: Mapping[str, dict[str, Any]], **changes: str) -> None:
    """Check USDC's settings, with changes, at a node that says this."""

    def say(body: bytes) -> bytes:
        request = json.loads(body)
        method, parameters = request["method"], request["params"]
        name = SELECTORS[parameters[0]["data"][:10]] if method == "eth_call" else method
        return practice.reply(200, json.dumps({"jsonrpc": "2.0", "id": 1} | said[name]).encode())

    async with practice.scripted(say) as url:
        await checks.check_network(http, 1, USDC.model_copy(update={"rpc_url": url, **changes}))


async def test_usdc_is_right(http: Client) -> None:
    await check(http, RIGHT)


NAMES = "INSTANT_NETWORKS[1].asset_name and asset_version make another EIP-712 domain than the token's;"
MISTAKES: list[tuple[dict[str, dict[str, Any]], dict[str, str], str]] = [
    ({}, {"id": "eip155:1"}, "rpc_url leads to a node of chain 84532, and eip155:1 needs one of its own"),
    ({"eth_getCode": ABSENT}, {}, "asset is no contract on eip155:84532; it may be one on another chain"),
    ({"decimals()": number(18)}, {}, "asset has 18 decimals, and prices have 6"),
    ({"decimals()": REVERTED}, {}, "asset is no ERC-20 token, because it has no decimals"),
    ({"decimals()": ABSENT}, {}, "asset is no ERC-20 token, because it has no decimals"),
    (
        {"authorizationState(address,bytes32)": {"error": {"code": -32000, "message": "VM: REVERTED"}}},
        {},
        "asset has no EIP-3009 authorizations, which x402's exact scheme pays with",
    ),
    ({}, {"asset_name": "USD Coin"}, "asset_name is not the token's own, which is 'USDC'"),
    ({}, {"asset_version": "1"}, "asset_version is not the token's own, which is '2'"),
    ({"DOMAIN_SEPARATOR()": REVERTED}, {"asset_name": "x"}, "asset_name is not the token's own, which is 'USDC'"),
    ({"DOMAIN_SEPARATOR()": ABSENT}, {"asset_version": "x"}, "asset_version is not the token's own, which is '2'"),
    (
        {"DOMAIN_SEPARATOR()": ZERO, "name()": text("\x1b[31mred\u202e" + "x" * 100)},
        {},
        "asset_name is not the token's own, which is '\\x1b[31mred\\u202e" + "x" * 31 + "'",
    ),
    (
        {"DOMAIN_SEPARATOR()": ZERO},
        {},
        "asset_name and asset_version make another EIP-712 domain than the token's; look both up in its contract",
    ),
]


@pytest.mark.parametrize(("said", "changes", "sentence"), MISTAKES)
async def test_a_mistake_is_one_sentence(
    http: Client, said: dict[str, dict[str, Any]], changes: dict[str, str], sentence: str
) -> None:
    """Each names the member of INSTANT_NETWORKS, and shows foreign text only in visible ASCII."""
    with pytest.raises(Misconfigured) as refused:
        await check(http, RIGHT | said, **changes)

    assert str(refused.value) == f"INSTANT_NETWORKS[1].{sentence}"
    assert (refused.value.__cause__, refused.value.__context__) == (None, None)


async def test_the_domain_decides_and_not_the_name(http: Client) -> None:
    """A token may call itself otherwise than its EIP-712 domain, which is what wallets sign."""
    await check(http, RIGHT | {"name()": text("Bridged"), "version()": REVERTED})


async def test_a_token_that_tells_nothing_is_warned_of(http: Client, caplog: pytest.LogCaptureFixture) -> None:
    """EIP-3009 asks for none of these functions."""
    silent = {"DOMAIN_SEPARATOR()": REVERTED, "name()": REVERTED, "version()": {"result": "0x12"}}
    with caplog.at_level(logging.WARNING, "core.evm.checks"):
        await check(http, RIGHT | silent)

    assert [message.split()[0] for message in caplog.messages] == [
        "INSTANT_NETWORKS[1].asset_name",
        "INSTANT_NETWORKS[1].asset_version",
    ]


def test_the_domain_is_the_one_that_wallets_sign() -> None:
    """eth_account makes the same hash of the same domain."""
    domain = {"name": "USDC", "version": "2", "chainId": 84532, "verifyingContract": USDC.asset}
    typed = encode_typed_data(domain, {"Any": [{"name": "x", "type": "bool"}]}, {"x": True})

    assert checks.domain_separator(USDC) == typed.header


async def test_a_node_that_is_away_is_no_mistake(http: Client, caplog: pytest.LogCaptureFixture) -> None:
    """It may come back; until then nothing is decided. Other networks are checked all the same."""
    away = {**RIGHT, "decimals()": {"error": {"code": -32005, "message": "limit exceeded"}}}
    with pytest.raises(Unavailable):
        await check(http, away)

    with caplog.at_level(logging.WARNING, "core.evm.checks"):
        await checks.check_networks(http, [USDC])
    assert caplog.messages == [
        "INSTANT_NETWORKS[0].rpc_url does not answer, so the chain and the asset of eip155:84532 are not checked"
    ]


anything = st.none() | st.integers() | st.text(max_size=8) | st.binary(max_size=130).map(lambda raw: "0x" + raw.hex())


@given(name=st.sampled_from([name for name in RIGHT if name != "DOMAIN_SEPARATOR()"]), said=anything)
@settings(max_examples=60)
async def test_nonsense_is_no_traceback(http: Client, name: str, said: object) -> None:
    """Whatever a node says, the answer is a sentence, or that the node cannot be asked."""
    with suppress(Misconfigured, Unavailable):
        await check(http, RIGHT | {"DOMAIN_SEPARATOR()": REVERTED, name: {"result": said}})


async def test_the_practice_asset_is_right(http: Client) -> None:
    """The practice node says what the sandbox's own settings say."""
    with practice.facilitator() as url:
        await checks.check_network(http, 0, practice.network(url))
        with pytest.raises(Misconfigured, match="asset_name is not the token's own"):
            await checks.check_network(http, 0, practice.network(url).model_copy(update={"asset_name": "USD Coin"}))
