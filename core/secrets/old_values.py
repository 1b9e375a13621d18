"""Open values that the system before this one encrypted, once, to seal them anew.

A value is `ivhex:cthex`: AES-256-CBC with PKCS #7 padding, under the SHA-256 of a secret text. Nothing authenticates
it, so what comes out of a wrong secret or an altered value may look like anything; the caller has to check it.
"""

import hashlib
import re

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from core.failures import Unreadable
from core.secrets.private import Private

_VALUE = re.compile(r"([0-9a-fA-F]{32}):((?:[0-9a-fA-F]{32}){1,1000})")
_BLOCK_BITS = 128


def open_old(value: str, secret: Private[str]) -> Private[str]:
    """Decrypt one value.

    Args:
        value: `ivhex:cthex`.
        secret: INTEGRATION_ENCRYPTION_SECRET of the old system.

    Raises:
        Unreadable: it has another form, or the secret is another one.
    """
    parts = _VALUE.fullmatch(value)
    if parts is None:
        raise Unreadable
    iv, sealed = (bytes.fromhex(part) for part in parts.groups())
    key = hashlib.sha256(secret.reveal().encode()).digest()
    decryptor, unpadder = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor(), padding.PKCS7(_BLOCK_BITS).unpadder()
    try:
        plain = unpadder.update(decryptor.update(sealed) + decryptor.finalize()) + unpadder.finalize()
        return Private(plain.decode())
    except ValueError:
        pass
    raise Unreadable
