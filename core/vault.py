"""Sealing and signing: the only home of cryptography.

A sealed value is AES-256-GCM under a key derived (HKDF-SHA256) from a master key for one account, bound to its
table, column and row as associated data. The envelope names its master key, so keys rotate without downtime:

    0x01 | length of key id | key id | 12-byte nonce | ciphertext and 16-byte tag
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from functools import cache
from uuid import UUID

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from core.failures import Misconfigured, Unreadable
from core.private import Private
from core.settings import settings

_ENVELOPE = b"\x01"
_NONCE = 12

SigningKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey


class Vault:
    """Master keys in memory, newest first.

    Args:
        master_keys: `id:base64` of 32 bytes each, comma-separated. The first seals and signs; all open and check.

    Raises:
        Misconfigured: if there is no key, or one is not 32 bytes of base64.
    """

    def __init__(self, master_keys: str) -> None:
        self._keys: dict[str, bytes] = {}
        for entry in filter(None, (part.strip() for part in master_keys.split(","))):
            key_id, _, encoded = entry.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                key = b""
            if not key_id or len(key_id) > 255 or not key_id.isascii() or len(key) != 32 or key_id in self._keys:
                raise Misconfigured("INSTANT_MASTER_KEYS must be id:base64 of 32 bytes, comma-separated, ids unique")
            self._keys[key_id] = key
        if not self._keys:
            raise Misconfigured("INSTANT_MASTER_KEYS is empty; `instant dev` makes one in the state folder")
        self._newest = next(iter(self._keys))

    def seal(self, plain: bytes, *, account: UUID, column: str, row: UUID) -> bytes:
        """Encrypt `plain` for one place.

        Args:
            account: whose key is derived.
            column: `table.column` that it will stand in.
            row: the row's id.
        """
        nonce = os.urandom(_NONCE)
        key_id = self._newest.encode()
        sealed = AESGCM(self._derive(self._newest, b"seal", account.bytes)).encrypt(nonce, plain, _place(column, row))
        return _ENVELOPE + bytes([len(key_id)]) + key_id + nonce + sealed

    def open(self, sealed: bytes, *, account: UUID, column: str, row: UUID) -> Private[bytes]:
        """Decrypt what `seal` made for the same account, column and row.

        Raises:
            Unreadable: if it was altered or moved, or its master key is not configured.
        """
        key_id, nonce, body = _unpack(sealed)
        if key_id not in self._keys:
            raise Unreadable
        try:
            return Private(
                AESGCM(self._derive(key_id, b"seal", account.bytes)).decrypt(nonce, body, _place(column, row))
            )
        except InvalidTag:
            pass
        raise Unreadable

    def sign(self, purpose: str, message: bytes) -> bytes:
        """A 16-byte MAC over `message`, valid for `purpose` only."""
        return self._mac(self._newest, purpose, message)

    def is_signed(self, purpose: str, message: bytes, mac: bytes) -> bool:
        """Whether `sign` made `mac`, under any configured master key."""
        return any(hmac.compare_digest(self._mac(key_id, purpose, message), mac) for key_id in self._keys)

    def _mac(self, key_id: str, purpose: str, message: bytes) -> bytes:
        return hmac.digest(self._derive(key_id, b"sign", purpose.encode()), message, hashlib.sha256)[:16]

    @cache  # noqa: B019 - one vault lives as long as its process, and a derivation costs more than the call it serves
    def _derive(self, key_id: str, use: bytes, subject: bytes) -> bytes:
        info = b"x402-instant/" + use + b"/" + subject
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(self._keys[key_id])


def new_master_key(key_id: str) -> str:
    """A fresh `id:base64` entry for INSTANT_MASTER_KEYS."""
    return f"{key_id}:{base64.b64encode(os.urandom(32)).decode()}"


@cache
def vault() -> Vault:
    """The vault of this process."""
    return Vault(settings().master_keys.get_secret_value())


def _place(column: str, row: UUID) -> bytes:
    return column.encode() + b"\x00" + row.bytes


def _unpack(sealed: bytes) -> tuple[str, bytes, bytes]:
    """Key id, nonce and body of an envelope."""
    if sealed[:1] != _ENVELOPE or len(sealed) < 2:
        raise Unreadable
    end = 2 + sealed[1]
    key_id, nonce, body = sealed[2:end], sealed[end : end + _NONCE], sealed[end + _NONCE :]
    if len(nonce) < _NONCE or not key_id.isascii():
        raise Unreadable
    return key_id.decode("ascii"), nonce, body


def read_signing_key(secret: str) -> SigningKey | None:
    """A private key for `sign_jwt`, in either form that the Coinbase Developer Platform gives out; None if it is none.

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


def sign_jwt(key: SigningKey, header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    """A JSON Web Token (RFC 7515, compact form), with `alg` ES256 or EdDSA after the key (RFC 7518 3.4, RFC 8037).

    Args:
        key: as by `read_signing_key`.
        header: without `alg`.
        claims: its body.
    """
    algorithm = "EdDSA" if isinstance(key, Ed25519PrivateKey) else "ES256"
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": algorithm, **header}, {**claims}))
    return (signed + b"." + _base64url(_signature(key, signed))).decode()


def _signature(key: SigningKey, message: bytes) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
