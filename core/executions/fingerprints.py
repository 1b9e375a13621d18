"""Hash requests and answers for receipts, so that whoever has them can prove them, and nobody can guess them.

A fingerprint is the SHA-256 of a salt followed by canonical JSON (RFC 8785). The salt is random, and kept and deleted
with the answer: what is left in the receipt tells nothing about either of them.
"""

import hashlib
import json
import os
from collections.abc import Mapping

from core.resources.parameters import as_text

SALT_BYTES = 16

ANSWER_MEMBERS = ("response", "modality", "usage", "truncated", "citations", "files")
"""What of an answer's JSON is hashed. Addresses of pictures and sounds change with time; `files` has their hashes."""


def new_salt() -> str:
    """Make a salt: 32 hexadecimal digits."""
    return os.urandom(SALT_BYTES).hex()


def of_answer(result: Mapping[str, object], salt: str) -> str:
    """Hash an answer: its ANSWER_MEMBERS, as far as it has them.

    Args:
        result: the JSON that the buyer gets; other members do not count.
        salt: from `new_salt`.
    """
    return _sha256({name: result[name] for name in ANSWER_MEMBERS if name in result}, salt)


def of_request(inputs: Mapping[str, object], salt: str) -> str:
    """Hash the inputs of a request as they are read: numbers, true and false are text, empty values are absent."""
    texts = {name: as_text(value) for name, value in inputs.items()}
    return _sha256({name: text for name, text in texts.items() if text != ""}, salt)


def of_file(content: bytes) -> str:
    """Hash a picture or sound, without salt: its content says nothing that its address does not show."""
    return hashlib.sha256(content).hexdigest()


def canonical(value: object) -> bytes:
    """Write JSON canonically (RFC 8785), for text, whole numbers, and names in ASCII, which is all that we hash.

    Python writes these as the standard demands; it would write other numbers, and order other names, differently.
    """
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode(errors="surrogatepass")


def _sha256(value: object, salt: str) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + canonical(value)).hexdigest()
