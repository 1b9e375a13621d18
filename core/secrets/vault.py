"""Seal and sign values. All use of cryptography is here and in `signing`.

A sealed value is AES-256-GCM under a key derived (HKDF-SHA256) from a master key for one account, bound to its
table, column and row as associated data. The envelope names its master key, so keys rotate without downtime:

    0x01 | length of key id | key id | 12-byte nonce | ciphertext and 16-byte tag

A signature is base64url, without padding, of a 16-byte MAC; a token is the same of a payload and its MAC. Each is valid
in one spelling and for one purpose only.
"""

import base64
import binascii
import hashlib
import hmac
import os
from functools import cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.failures import Misconfigured, Unreadable
from core.secrets.private import Private
from core.settings import settings

_ENVELOPE = b"\x01"
_NONCE = 12
_MAC = 16


class Vault:
    """Master keys in memory, newest first.

    Args:
        master_keys: `id:base64` of 32 bytes each, comma-separated. The first seals and signs; all open and check.

    Raises:
        Misconfigured: there is no key, or one is not 32 bytes of base64.
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

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the configured keys, newest first. They are no secret: every envelope shows one."""
        return tuple(self._keys)

    @property
    def newest_key_id(self) -> str:
        """The id of the key that seals and signs."""
        return self._newest

    @property
    def newest_head(self) -> bytes:
        """What every envelope under the newest key begins with, and no other."""
        return _head(self._newest)

    def seal(self, plain: bytes, *, account: UUID, column: str, row: UUID) -> bytes:
        """Encrypt `plain` for one column and row.

        Args:
            account: the account whose key is derived.
            column: the `table.column` that will hold it.
            row: the row's id.
        """
        nonce = os.urandom(_NONCE)
        sealed = AESGCM(self._derive(self._newest, b"seal", account.bytes)).encrypt(
            nonce, plain, _associated_data(column, row)
        )
        return self.newest_head + nonce + sealed

    def open(self, sealed: bytes, *, account: UUID, column: str, row: UUID) -> Private[bytes]:
        """Decrypt a value that `seal` made for the same account, column and row.

        Raises:
            Unreadable: it was altered or moved, or its master key is not configured.
        """
        key_id, nonce, body = _unpack(sealed)
        if key_id not in self._keys:
            raise Unreadable
        try:
            return Private(
                AESGCM(self._derive(key_id, b"seal", account.bytes)).decrypt(nonce, body, _associated_data(column, row))
            )
        except InvalidTag:
            pass
        raise Unreadable

    def reseal(self, sealed: bytes, *, account: UUID, column: str, row: UUID) -> bytes:
        """Seal anew, under the newest key, what `seal` sealed under any for the same account, column and row.

        Raises:
            Unreadable: it was altered or moved, or its master key is not configured.
        """
        plain = self.open(sealed, account=account, column=column, row=row)
        return self.seal(plain.reveal(), account=account, column=column, row=row)

    def sign(self, purpose: str, message: bytes) -> str:
        """Sign `message` for a reader who has the message already; the signature is valid for `purpose` only."""
        return _base64url(self._mac(self._newest, purpose, message))

    def is_signed(self, purpose: str, message: bytes, signature: str) -> bool:
        """Tell whether `sign` made `signature` for the same purpose and message, under any configured master key."""
        # No signature has characters outside ASCII, nor a question mark.
        signature_bytes = signature.encode("ascii", "replace")
        expected = (_base64url(self._mac(key_id, purpose, message)) for key_id in self._keys)
        return any(hmac.compare_digest(mac.encode(), signature_bytes) for mac in expected)

    def token(self, purpose: str, payload: bytes) -> str:
        """Make a token that carries `payload`: its holder can read it, and nobody can change it."""
        return _base64url(payload + self._mac(self._newest, purpose, payload))

    def read_token(self, purpose: str, token: str) -> bytes | None:
        """The payload of what `token` made for the same purpose, under any configured master key; None of all else."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            return None
        payload, mac = raw[:-_MAC], raw[-_MAC:]
        is_ours = _base64url(raw) == token and self.is_signed(purpose, payload, _base64url(mac))
        return payload if is_ours else None

    def seed(self, key_id: str, purpose: str) -> Private[bytes]:
        """Derive 32 bytes for a key pair of one purpose from a configured master key: always the same."""
        return Private(self._derive(key_id, b"seed", purpose.encode()))

    def _mac(self, key_id: str, purpose: str, message: bytes) -> bytes:
        return hmac.digest(self._derive(key_id, b"sign", purpose.encode()), message, hashlib.sha256)[:_MAC]

    @cache  # noqa: B019 - one vault lives as long as its process, and a derivation costs more than the call it serves
    def _derive(self, key_id: str, use: bytes, subject: bytes) -> bytes:
        info = b"x402-instant/" + use + b"/" + subject
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(self._keys[key_id])


def new_master_key(key_id: str) -> str:
    """Make a fresh `id:base64` entry for INSTANT_MASTER_KEYS."""
    return f"{key_id}:{base64.b64encode(os.urandom(32)).decode()}"


@cache
def vault() -> Vault:
    """Return the vault of this process."""
    return Vault(settings().master_keys.get_secret_value())


def _base64url(raw: bytes) -> str:
    """Without padding (RFC 4648, 5)."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _associated_data(column: str, row: UUID) -> bytes:
    return column.encode() + b"\x00" + row.bytes


def _head(key_id: str) -> bytes:
    return _ENVELOPE + bytes([len(key_id)]) + key_id.encode()


def _unpack(sealed: bytes) -> tuple[str, bytes, bytes]:
    """Split an envelope into key id, nonce and body."""
    if sealed[:1] != _ENVELOPE or len(sealed) < 2:
        raise Unreadable
    end = 2 + sealed[1]
    key_id, nonce, body = sealed[2:end], sealed[end : end + _NONCE], sealed[end + _NONCE :]
    if len(nonce) < _NONCE or not key_id.isascii():
        raise Unreadable
    return key_id.decode("ascii"), nonce, body
