"""Sign, and check what others signed: all JOSE is here.

JSON Web Tokens with the operator's keys, for facilitators that require authentication; and JSON Web Signatures (RFC
7515) with Ed25519 (RFC 8037), which strangers verify with our public keys.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from core.secrets.private import Private

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


_JWS = jwt.PyJWS()
ALGORITHM = "EdDSA"


class BadSignature(Exception):
    """A signature does not hold. The message is a sentence that says why, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A key pair.

    Attributes:
        thumbprint: of the public key (RFC 7638).
    """

    thumbprint: str
    public_key: bytes
    private_key: Private[Ed25519PrivateKey]

    def sign(self, payload: bytes, *, key_id: str, kind: str) -> str:
        """Sign bytes, in the compact form.

        Args:
            payload: what is signed.
            key_id: `kid` of the header, by which a verifier finds the public key.
            kind: `typ` of the header, so that nothing that is signed stands for anything else.
        """
        headers = {"kid": key_id, "typ": kind}
        return _JWS.encode(payload, self.private_key.reveal(), ALGORITHM, headers=headers)


def signer(seed: Private[bytes]) -> Signer:
    """Make the key pair of a seed of 32 bytes."""
    key = Ed25519PrivateKey.from_private_bytes(seed.reveal())
    public_key = key.public_key().public_bytes_raw()
    return Signer(thumbprint(public_key), public_key, Private(key))


def jwk(public_key: bytes) -> dict[str, str]:
    """Write a public key as a JSON Web Key (RFC 8037, 2)."""
    return {"kty": "OKP", "crv": "Ed25519", "x": _encoded(public_key)}


def thumbprint(public_key: bytes) -> str:
    """Compute the thumbprint of a public key (RFC 7638): the hash of its JWK, names in order and without spaces."""
    members = json.dumps(jwk(public_key), sort_keys=True, separators=(",", ":"))
    return _encoded(hashlib.sha256(members.encode()).digest())


def read_keys(document: object) -> dict[str, bytes]:
    """Read the Ed25519 keys of a JSON Web Key Set, or of a DID document, by their thumbprints.

    Raises:
        BadSignature: it is neither, or has no such key.
    """
    found: dict[str, bytes] = {}
    if isinstance(document, dict):
        entries = document.get("keys") or document.get("verificationMethod")
        for entry in entries if isinstance(entries, list) else []:
            key = entry.get("publicKeyJwk", entry) if isinstance(entry, dict) else {}
            x = key.get("x") if isinstance(key, dict) and key.get("crv") == "Ed25519" else None
            raw = _decoded(x) if isinstance(x, str) else None
            if raw is not None and len(raw) == 32:
                found[thumbprint(raw)] = raw
    if not found:
        raise BadSignature("The keys are no set of public keys (JWKS or DID document) with an Ed25519 key.")
    return found


def header_of(token: str) -> dict[str, object]:
    """Read the header of a signature, unchecked: to find out which keys to ask for.

    Raises:
        BadSignature: the token is no JWS in the compact form.
    """
    return _parts(token)[0]


def check(token: str, keys: Mapping[str, bytes], kind: str) -> bytes:
    """Check a signature, and return what was signed.

    A token has one spelling: base64url whose unused bits are not zero is refused, which most libraries let through.

    Args:
        token: what `Signer.sign` made.
        keys: public keys by thumbprint, from a source that is trusted.
        kind: the expected `typ`.

    Raises:
        BadSignature: it does not hold.
    """
    header, payload, signature, signed = _parts(token)
    if header.get("alg") != ALGORITHM or header.get("typ") != kind or "crit" in header:
        raise BadSignature("The signature has another algorithm or purpose than a receipt's.")
    key = keys.get(str(header.get("kid")).rpartition("#")[2])
    if key is None:
        raise BadSignature("The signature names a key that is not among the published ones.")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except InvalidSignature:
        pass
    else:
        return payload
    raise BadSignature("The signature does not fit: the receipt was altered, or somebody else signed it.")


def _parts(token: str) -> tuple[dict[str, object], bytes, bytes, bytes]:
    """Split a token into header, payload, signature, and the bytes that were signed."""
    parts = [_decoded(part) for part in token.split(".")]
    if len(parts) != 3 or any(part is None for part in parts):
        raise BadSignature("The receipt is no JWS in the compact form (RFC 7515).")
    head, payload, signature = (part or b"" for part in parts)
    try:
        header = json.loads(head)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise BadSignature("The header of the receipt is no JSON object.")
    return header, payload, signature, token.rpartition(".")[0].encode()


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> bytes | None:
    """Decode base64url in its one spelling; None of all else."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return raw if _encoded(raw) == text else None
