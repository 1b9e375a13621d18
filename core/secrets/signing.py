"""Sign JSON Web Tokens with the operator's keys, for facilitators that require authentication."""

import base64
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SigningKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey


def read_signing_key(secret: str) -> SigningKey | None:
    """Read a private key for `sign_jwt`, in either format of the Coinbase Developer Platform; None if it is neither.

    Args:
        secret: PEM of an EC key on P-256, its line ends perhaps written as backslash and n; or base64 of an Ed25519
            key: 32 bytes of seed, then 32 of public key.
    """
    if "-----BEGIN" in secret:
        try:
            pem = load_pem_private_key(secret.replace("\\n", "\n").encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            return None
        return pem if isinstance(pem, ec.EllipticCurvePrivateKey) and pem.curve.name == "secp256r1" else None
    try:
        raw = base64.b64decode(secret.strip(), validate=True)
    except ValueError:
        return None
    key = Ed25519PrivateKey.from_private_bytes(raw[:32]) if len(raw) == 64 else None
    return key if key and key.public_key().public_bytes_raw() == raw[32:] else None


def sign_jwt(key: SigningKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Sign a JWT (RFC 7515, compact form), with ES256 or EdDSA depending on the key (RFC 7518 3.4, RFC 8037).

    Args:
        key: a key from `read_signing_key`.
        header: the header without `alg` and `typ`.
        claims: the body.
    """
    algorithm = "EdDSA" if isinstance(key, Ed25519PrivateKey) else "ES256"
    return jwt.encode(claims, key, algorithm, headers=header)
