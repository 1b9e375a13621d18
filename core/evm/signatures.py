"""Recover the signer of an ECDSA signature over secp256k1."""

from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

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
