"""Compare the settings of a network with what its node says about the chain and the asset.

Sources: ERC-20 for `decimals` and `name`; EIP-3009 for `authorizationState`; EIP-712 for the domain separator; Circle's
FiatTokenV2 for `version` and `DOMAIN_SEPARATOR`, which other tokens may lack.
"""

import asyncio
import logging
from collections.abc import Iterable

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.crypto import keccak
from pydantic import TypeAdapter

from core.evm import node
from core.failures import Misconfigured, Unavailable
from core.net.json_client import Client
from core.settings import Network, member

log = logging.getLogger(__name__)

DECIMALS = 6
"""Decimals of every amount here: prices are atomic USDC."""

_DOMAIN = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_AUTHORIZATION_STATE = function_signature_to_4byte_selector("authorizationState(address,bytes32)")
_NOBODY = encode(["address", "bytes32"], ["0x" + "00" * 20, bytes(32)])
# Blocks whose logs are asked for at the start. A payment is looked up within its last half hour, or 900 blocks of 2 s.
_TRIAL_BLOCKS = (512, 64, 8, 1)
_NO_EVENT = "0x" + "00" * 32
# The longest name that is shown. It is anybody's text.
_SHOWN = 40


async def check_networks(http: Client, networks: Iterable[Network]) -> None:
    """Check every network with its node.

    A node that does not answer only causes a warning: it may come back, and until then decides nothing. So does one
    that refuses eth_getLogs, or answers it for few blocks only: payments whose settlement is unknown depend on it.

    Raises:
        Misconfigured: its sentence names the member of INSTANT_NETWORKS that is wrong.
    """

    async def check(position: int, network: Network) -> None:
        try:
            await check_network(http, position, network)
            await _try_logs(http, position, network)
        except Unavailable:
            log.warning(
                "%s does not answer, so the chain and the asset of %s are not checked",
                member(position, "rpc_url"),
                network.id,
            )

    await asyncio.gather(*(check(position, network) for position, network in enumerate(networks)))


async def check_network(http: Client, position: int, network: Network) -> None:
    """Check one network: the node's chain, and the asset's code, decimals, name and version.

    Args:
        http: the client for nodes.
        position: the network's position in INSTANT_NETWORKS, for the sentence.
        network: the settings.

    Raises:
        Misconfigured: the node says otherwise than the settings. What the chain says cannot change, so only other
            settings help.
        Unavailable: `chain_unreachable`, the node does not answer.
    """
    chain_id = await node.chain_id(http, network)
    if chain_id != network.chain_id:
        raise Misconfigured(
            f"{member(position, 'rpc_url')} leads to a node of chain {chain_id}, and {network.id} needs one of its own"
        )
    asset = member(position, "asset")
    if not await node.code(http, network):
        raise Misconfigured(f"{asset} is no contract on {network.id}; it may be one on another chain")
    decimals = await node.call(http, network, function_signature_to_4byte_selector("decimals()"))
    if decimals is None:
        raise Misconfigured(f"{asset} is no ERC-20 token, because it has no decimals")
    if int.from_bytes(decimals[:32]) != DECIMALS:
        raise Misconfigured(f"{asset} has {int.from_bytes(decimals[:32])} decimals, and prices have {DECIMALS}")
    if await node.call(http, network, _AUTHORIZATION_STATE + _NOBODY) is None:
        raise Misconfigured(f"{asset} has no EIP-3009 authorizations, which x402's exact scheme pays with")
    await _check_domain(http, position, network)


async def _try_logs(http: Client, position: int, network: Network) -> None:
    """Ask for the logs of the newest blocks once, and warn if the node serves few of them or none."""
    last = int((await node.block(http, network, "latest")).number, 16)
    url = member(position, "rpc_url")
    for blocks in _TRIAL_BLOCKS:
        first = max(last - blocks + 1, 0)
        try:
            await node.logs(http, network, TypeAdapter(list[node.Log]), [], [_NO_EVENT], first=first, last=last)
        except Unavailable:
            continue
        if blocks < _TRIAL_BLOCKS[0]:
            log.warning(
                "%s leads to a node that refuses eth_getLogs of more than some %d blocks: to look up an old payment"
                " takes long",
                url,
                blocks,
            )
        return
    log.warning(
        "%s leads to a node that refuses eth_getLogs: payments whose settlement is unknown stay undecided until it"
        " answers them, or another node is named",
        url,
    )


async def _check_domain(http: Client, position: int, network: Network) -> None:
    """Check name and version by the domain separator, which is what wallets sign, or else by what the token says."""
    separator = await node.call(http, network, function_signature_to_4byte_selector("DOMAIN_SEPARATOR()"))
    if separator == domain_separator(network):
        return
    name, version = await _text(http, network, "name()"), await _text(http, network, "version()")
    for field, said in (("asset_name", name), ("asset_version", version)):
        if said is not None and said != getattr(network, field):
            raise Misconfigured(f"{member(position, field)} is not the token's own, which is {_shown(said)}")
    if separator is not None:
        raise Misconfigured(
            f"{member(position, 'asset_name')} and asset_version make another EIP-712 domain than the token's;"
            " look both up in its contract"
        )
    for field, said in (("asset_name", name), ("asset_version", version)):
        if said is None:
            log.warning("%s is not checked, because the token does not tell its own", member(position, field))


def domain_separator(network: Network) -> bytes:
    """Return the hash of the asset's EIP-712 domain as the settings have it."""
    text = (keccak(text=network.asset_name), keccak(text=network.asset_version))
    kinds = ["bytes32", "bytes32", "bytes32", "uint256", "address"]
    return keccak(encode(kinds, [_DOMAIN, *text, network.chain_id, network.asset.lower()]))


async def _text(http: Client, network: Network, signature: str) -> str | None:
    """Read a text that the token tells about itself; None if it does not."""
    said = await node.call(http, network, function_signature_to_4byte_selector(signature))
    try:
        return None if said is None else str(decode(["string"], said)[0])
    except (DecodingError, UnicodeDecodeError):
        return None


def _shown(text: str) -> str:
    """Quote a foreign text for a terminal, in visible ASCII."""
    return ascii(text[:_SHOWN])
