"""Check a wallet's signature of a message: by the key of its address, or by the contract there (EIP-191, EIP-1271)."""

from typing import Literal

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from core.evm import node, signatures
from core.net.json_client import Client
from core.settings import Network

# isValidSignature(bytes32,bytes) is its own answer for yes (EIP-1271).
_IS_VALID_SIGNATURE = bytes.fromhex("1626ba7e")


async def proof(
    http: Client, network: Network, address: str, message: bytes, signature: bytes
) -> Literal["key", "contract"] | None:
    """Tell who vouches for a signature of a message (EIP-191, version 0x45: `personal_sign`).

    Args:
        http: the client for nodes.
        network: where a contract is asked, as it stands in the newest block. One that is not deployed yet (EIP-6492)
            vouches for nothing.
        address: the wallet's.
        message: what was signed.
        signature: its bytes.

    Returns:
        `key`, the address's own key; `contract`, the contract at the address; None, nobody.

    Raises:
        Unavailable: `chain_unreachable`.
    """
    digest = keccak(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)
    if len(signature) == signatures.LENGTH and signatures.recover(digest, signature) == address.lower():
        return "key"
    call = _IS_VALID_SIGNATURE + encode(["bytes32", "bytes"], [digest, signature])
    said = await node.call(http, network, call, to=address)
    return "contract" if said is not None and len(said) >= 32 and said[:4] == _IS_VALID_SIGNATURE else None
