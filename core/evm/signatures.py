"""Make ECDSA signatures over secp256k1, and recover their signers."""

import re
from dataclasses import dataclass, field

from eth_keys.datatypes import PrivateKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from core.secrets.private import Private

LENGTH = 65
"""Bytes of an ordinary wallet's signature: r, s and v. A contract wallet's signature may have any length."""

# Half of the order of secp256k1. Tokens refuse the malleated twin of a signature, whose s is above it (EIP-2).
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def recover(digest: bytes, signature: bytes) -> str | None:
    """Recover the address that signed a digest.

    Args:
        digest: the 32 bytes that were signed.
        signature: r, s and v, 65 bytes; v is 0, 1, 27 or 28.

    Returns:
        The address as lower-case hex with 0x; None if no key made the signature, or it is the twin that tokens refuse.
    """
    r, s, v = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]), signature[64]
    if s > _HALF_ORDER:
        return None
    try:
        signer = Signature(vrs=(v - 27 if v >= 27 else v, r, s)).recover_public_key_from_msg_hash(digest)
    except (BadSignature, ValidationError):
        return None
    return signer.to_address()


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet that signs: its address, as lower-case hex with 0x, and its private key."""

    address: str
    key: Private[str] = field(repr=False)

    def sign(self, digest: bytes) -> bytes:
        """Sign 32 bytes. The same digest always gets the same signature (RFC 6979), with a low s, and v of 27 or 28."""
        signature = PrivateKey(bytes.fromhex(self.key.reveal())).sign_msg_hash(digest).to_bytes()
        return signature[:64] + bytes([signature[64] + 27])


def wallet_of(key: Private[str]) -> Wallet | None:
    """Return the wallet of a private key, 64 hex digits with or without 0x; None if it is no key."""
    digits = key.reveal().strip().removeprefix("0x").lower()
    if not re.fullmatch("[0-9a-f]{64}", digits):
        return None
    try:
        address = PrivateKey(bytes.fromhex(digits)).public_key.to_address()
    except ValidationError:  # zero, or above the order of the curve
        return None
    return Wallet(address, Private(digits))
