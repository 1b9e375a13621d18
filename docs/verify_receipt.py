"""Verify a receipt of x402 Instant without x402 Instant: python verify_receipt.py answer.json request.json jwks.json

Needs only `cryptography`. answer.json is what the seller delivered, request.json the body that you sent, jwks.json the
seller's /.well-known/jwks.json. Exit code 0: the receipt proves both; 1: it does not, and the last line says why.
Pictures and sounds are not opened: their SHA-256 are in the `files` of an answer.
"""

import base64
import hashlib
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HASHED = ("response", "modality", "usage", "truncated", "citations", "files")
BESIDE = ("receipt", "images", "audio", "jobId", "state", "money")


def decoded(text: str) -> bytes:
    """Decode base64url in its one spelling."""
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != text:
        sys.exit("The receipt was altered.")
    return raw


def sha256(value: object, salt: str) -> str:
    """Hash a salt and canonical JSON (RFC 8785; here only text, whole numbers and ASCII names occur)."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(bytes.fromhex(salt) + text.encode(errors="surrogatepass")).hexdigest()


def as_text(value: object) -> object:
    """Write a number, true or false as the seller reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{Decimal(repr(value)):f}"
    return str(value) if isinstance(value, int) else value


def check_beside(answer: dict[str, Any], claims: dict[str, Any]) -> None:
    """Check what is in an answer and is not hashed: it must say what the receipt says."""
    if any(name not in HASHED + BESIDE for name in answer):
        sys.exit("The answer has a member that no receipt covers.")
    signed = {name: claims.get(name) for name in ("transaction", "modelServed")}
    signed |= {"network": claims["offer"]["network"], "truncated": claims["finishReason"] == "length"}
    signed["paidUsdc"] = f"{Decimal(claims['offer']['amount']).scaleb(-6).normalize():f}"
    told = {name: value for name, value in answer["receipt"].items() if name not in ("jws", "salt")}
    signed |= {"jobId": claims["jti"], "state": "succeeded", "money": "answered"}
    told |= {name: answer[name] for name in ("jobId", "state", "money") if name in answer}
    for name, value in told.items():
        if name not in signed or signed[name] != value:
            sys.exit(f"The answer's {name} is not what the receipt says.")


def main() -> None:
    """Check signature, issuer, answer and request."""
    answer, request, key_set = (json.loads(Path(name).read_bytes()) for name in sys.argv[1:4])
    try:
        token, salt = answer["receipt"]["jws"], answer["receipt"]["salt"]
    except (KeyError, TypeError):
        sys.exit("The answer has no receipt with a signature and a salt.")
    try:
        header, payload, signature = (decoded(part) for part in token.split("."))
        head, claims = json.loads(header), json.loads(payload)
        key = next(key for key in key_set["keys"] if key["kid"] == head["kid"] and key["crv"] == "Ed25519")
        public_key = Ed25519PublicKey.from_public_bytes(decoded(key["x"]))
        public_key.verify(signature, token.rpartition(".")[0].encode())
    except (AttributeError, InvalidSignature, KeyError, StopIteration, TypeError, ValueError):
        sys.exit("The signature does not fit: the receipt was altered, or somebody else signed it.")
    if head["alg"] != "EdDSA" or head["typ"] != "receipt+jwt" or claims["iss"] != head["kid"].partition("#")[0]:
        sys.exit("This is no receipt.")
    if unquote(claims["iss"].split(":")[2]) != urlsplit(claims["resource"]).netloc:
        sys.exit("The receipt is of another site than the product that it names.")
    if sha256({name: answer[name] for name in HASHED if name in answer}, salt) != claims["answerSha256"]:
        sys.exit("The answer is not the one that the receipt names.")
    check_beside(answer, claims)
    inputs = {name: as_text(value) for name, value in request.items()}
    if sha256({name: text for name, text in inputs.items() if text != ""}, salt) != claims["requestSha256"]:
        sys.exit("The request is not the one that the receipt names.")
    sys.stdout.write(json.dumps(claims, indent=2) + "\n")


if __name__ == "__main__":
    main()
