"""Check a receipt against what its buyer has: the answer, the request, and files. Nothing is asked of anybody.

It needs neither settings nor a database, so that whoever holds a receipt can check it anywhere.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote, urlsplit

from core.amounts import usdc
from core.executions import fingerprints
from core.media.files import Medium
from core.net.strict_json import refuse_constant, unique_members
from core.secrets import signing
from core.secrets.signing import BadSignature

# What an answer has beside its hashed members: how it was delivered, and addresses that change.
_ENVELOPE = {"receipt", "images", "audio", "jobId", "state", "money"}
_KIND = "receipt+jwt"


class Mismatch(Exception):
    """The receipt does not prove it. The message is one sentence that says what does not fit."""


def read_json(text: bytes, what: str) -> dict[str, object]:
    """Read a JSON object as RFC 8259 has it; no name may stand twice.

    Raises:
        Mismatch: it is anything else.
    """
    try:
        document = json.loads(text.decode(), parse_constant=refuse_constant, object_pairs_hook=unique_members)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Mismatch(f"The {what} is no JSON object in UTF-8.")
    return document


def check_receipt(token: str, keys: Mapping[str, bytes]) -> dict[str, object]:
    """Check the signature of a receipt, and return its claims.

    Raises:
        Mismatch: it does not hold.
    """
    try:
        payload = signing.check(token, keys, _KIND)
        issuer = str(signing.header_of(token).get("kid")).rpartition("#")[0]
        if not issuer.startswith("did:web:"):
            raise BadSignature("The receipt names no site (did:web) whose keys it was signed with.")
    except BadSignature as bad:
        problem = str(bad)
    else:
        claims = read_json(payload, "receipt")
        if claims.get("iss") != issuer:
            raise Mismatch("The receipt names another issuer than the owner of its key.")
        if unquote(issuer.split(":")[2]) != urlsplit(str(claims.get("resource"))).netloc:
            raise Mismatch("The receipt is of another site than the product that it names.")
        return claims
    raise Mismatch(problem)


def check_answer(claims: Mapping[str, object], answer: Mapping[str, object], salt: str | None = None) -> None:
    """Check that an answer, as it was delivered or read at its status URL, is the one that the receipt names.

    Args:
        claims: from `check_receipt`.
        answer: the JSON.
        salt: default: the one in the answer's own `receipt`.

    Raises:
        Mismatch: it is not.
    """
    unknown = answer.keys() - {*fingerprints.ANSWER_MEMBERS} - _ENVELOPE
    if unknown:
        raise Mismatch("The answer has a member that no receipt covers.")
    if fingerprints.of_answer(answer, _salt(salt, answer)) != claims.get("answerSha256"):
        raise Mismatch("The answer is not the one that the receipt names.")
    for name, told, signed in _beside(claims, answer):
        if told != signed:
            raise Mismatch(f"The answer's {name} is not what the receipt says.")
    _check_inline(answer)


def check_request(claims: Mapping[str, object], request: Mapping[str, object], salt: str | None) -> None:
    """Check that a request body is the one that the receipt names.

    Raises:
        Mismatch: it is not.
    """
    if fingerprints.of_request(request, _salt(salt, {})) != claims.get("requestSha256"):
        raise Mismatch("The request is not the one that the receipt names.")


def check_files(answer: Mapping[str, object], files: Sequence[bytes]) -> None:
    """Check that pictures and sounds are those that the answer names, in any order.

    Raises:
        Mismatch: one is not.
    """
    named = {file.get("sha256") for file in _list(answer.get("files")) if isinstance(file, dict)}
    if any(fingerprints.of_file(content) not in named for content in files):
        raise Mismatch("A file is none of those that the answer names.")


def salt_of(answer: Mapping[str, object]) -> str | None:
    """Return the salt that an answer brings along."""
    receipt = answer.get("receipt")
    salt = receipt.get("salt") if isinstance(receipt, dict) else None
    return salt if isinstance(salt, str) else None


def _salt(given: str | None, answer: Mapping[str, object]) -> str:
    salt = given if given is not None else salt_of(answer)
    if salt is None:
        raise Mismatch("There is no salt: it stands in the answer's receipt, and --salt takes it too.")
    try:
        is_salt = bytes.fromhex(salt).hex() == salt and len(salt) == 2 * fingerprints.SALT_BYTES
    except ValueError:
        is_salt = False
    if not is_salt:
        raise Mismatch("The salt is not 32 lower-case hexadecimal digits.")
    return salt


def _beside(claims: Mapping[str, object], answer: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    """Yield what stands beside the hashed members, each with what the receipt says of it."""
    offer = claims.get("offer")
    terms = offer if isinstance(offer, dict) else {}
    amount = str(terms.get("amount"))
    signed = {
        "transaction": claims.get("transaction"),
        "network": terms.get("network"),
        "paidUsdc": usdc(int(amount)) if amount.isdecimal() else None,
        "modelServed": claims.get("modelServed"),
        "truncated": claims.get("finishReason") == "length",
    }
    told = answer.get("receipt")
    for name, value in (told if isinstance(told, dict) else {}).items():
        if name not in ("jws", "salt"):
            yield name, value, signed.get(name)
    for name, expected in (("jobId", claims.get("jti")), ("state", "succeeded"), ("money", "answered")):
        if name in answer:
            yield name, answer[name], expected


def _check_inline(answer: Mapping[str, object]) -> None:
    """Check pictures and sounds that stand in the answer itself, as `data:` URLs."""
    shown = [*_list(answer.get("images")), *([answer["audio"]] if "audio" in answer else [])]
    files = _list(answer.get("files"))
    if len(shown) != len(files):
        raise Mismatch("The answer has more or fewer pictures and sounds than the receipt names.")
    for address, file in zip(shown, files, strict=True):
        told = file if isinstance(file, dict) else {}
        if not isinstance(address, str):
            raise Mismatch("A picture or sound of the answer has no address.")
        if "url" in told:
            fits = address == told["url"]
        elif address.startswith("data:"):
            try:
                content = base64.b64decode(address.partition(",")[2], validate=True)
            except binascii.Error:
                content = b""
            inline = Medium(str(told.get("kind")), content)
            fits = fingerprints.of_file(content) == told.get("sha256") and address == inline.data_url
        else:
            fits = str(told.get("sha256")) in address
        if not fits:
            raise Mismatch("A picture or sound of the answer is not the one that the receipt names.")


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
