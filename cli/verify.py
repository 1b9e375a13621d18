"""`instant verify`: check a signed receipt, and that it names an answer and a request. It needs no settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from cyclopts import Parameter, validators

from cli import output
from cli.shared import Json
from core.amounts import usdc
from core.failures import Misconfigured
from core.payments import receipt_checks
from core.payments.receipt_checks import Mismatch
from core.secrets import signing
from core.secrets.signing import BadSignature
from core.settings import urls

_SECONDS = 15
_MOST_BYTES = 1_000_000

File = Annotated[Path, Parameter(validator=validators.Path(exists=True, dir_okay=False))]


class _NoKeys(Exception):
    """The keys cannot be had. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What the buyer has."""

    token: str
    answer: dict[str, object] | None
    request: dict[str, object] | None
    salt: str | None
    files: tuple[bytes, ...]


def verify(
    receipt: str,
    /,
    *,
    answer: File | None = None,
    request: File | None = None,
    salt: str | None = None,
    file: Annotated[tuple[File, ...], Parameter(negative=())] = (),
    keys: str | None = None,
    json: Json = False,
) -> int:
    """Check that a receipt was signed by the seller's site, and names this answer and this request.

    Exit code 0: it holds. 1: it does not, and one sentence says why. 2: the command line must change. 3: the seller's
    public keys cannot be had.

    Args:
        receipt: the signed receipt, or a file with it, or with JSON that has it as `jws` or as `receipt.jws`.
        answer: the JSON that was delivered, or read at the status URL.
        request: the JSON body that was sent.
        salt: of the hashes; default: the one beside the receipt or in the answer.
        file: a picture or sound of the answer.
        keys: a file or URL with the seller's key set (JWKS) or DID document; default: that of the site in the receipt.
    """
    try:
        held = _read(receipt, answer, request, salt, file)
        claims = receipt_checks.check_receipt(held.token, _keys(held.token, keys))
        checked = _check(claims, held)
    except (Mismatch, _NoKeys) as problem:
        if json:
            output.document({"holds": False, "problem": str(problem)})
        else:
            output.remark(str(problem))
        return 1 if isinstance(problem, Mismatch) else 3
    if json:
        output.document({"holds": True, "checked": checked, "claims": claims})
    else:
        output.line(_summary(claims))
        output.line(f"Checked: {', '.join(checked)}.")
    return 0


def _read(receipt: str, answer: Path | None, request: Path | None, salt: str | None, files: tuple[Path, ...]) -> _Held:
    token, beside = receipt.strip(), None
    # No name of a file is as long as a signature.
    if len(token) < 256 and Path(token).is_file():
        token = Path(token).read_text(errors="replace").strip()
    elif len(token) < 256 and not token.startswith("{"):
        raise Misconfigured(f"there is no file {token}, and it is too short to be a receipt")
    if token.startswith("{"):
        document = receipt_checks.read_json(token.encode(), "receipt")
        inner, beside = document.get("receipt"), receipt_checks.salt_of(document)
        token = str(document.get("jws") or (inner.get("jws") if isinstance(inner, dict) else None))
    answered = None if answer is None else receipt_checks.read_json(answer.read_bytes(), "answer")
    asked = None if request is None else receipt_checks.read_json(request.read_bytes(), "request")
    return _Held(token, answered, asked, beside if salt is None else salt, tuple(path.read_bytes() for path in files))


def _check(claims: dict[str, object], held: _Held) -> list[str]:
    """Check what the buyer has, and return the names of what was checked."""
    checked = ["signature"]
    if held.answer is not None:
        receipt_checks.check_answer(claims, held.answer, held.salt)
        checked.append("answer")
    if held.request is not None:
        salt = held.salt or (None if held.answer is None else receipt_checks.salt_of(held.answer))
        receipt_checks.check_request(claims, held.request, salt)
        checked.append("request")
    if held.files:
        receipt_checks.check_files(held.answer or {}, held.files)
        checked.append("files")
    return checked


def _summary(claims: dict[str, object]) -> str:
    offer = claims.get("offer")
    amount = str(offer.get("amount")) if isinstance(offer, dict) else ""
    paid = usdc(int(amount)) if amount.isdecimal() else "?"
    return (
        f"The receipt holds: {claims.get('payer')} paid {paid} USDC for {claims.get('resource')}"
        f" (version {claims.get('version')}) in transaction {claims.get('transaction')};"
        f" {claims.get('modelServed')} answered at {claims.get('answeredAt')}."
    )


def _keys(token: str, source: str | None) -> dict[str, bytes]:
    """Read the public keys, from a file, or over HTTP."""
    problem = None
    if source is not None and not source.startswith(("http://", "https://")):
        try:
            text = Path(source).read_bytes()
        except OSError as error:
            raise _NoKeys(f"The file of keys cannot be read: {error.strerror}.") from None
    else:
        text = _fetched(source or _did_url(token))
    try:
        return signing.read_keys(receipt_checks.read_json(text, "set of keys"))
    except (BadSignature, Mismatch) as bad:
        problem = str(bad)
    raise _NoKeys(problem)


def _did_url(token: str) -> str:
    """Return where the DID document of a receipt's issuer is (did:web, 3.2)."""
    try:
        did = str(signing.header_of(token).get("kid")).partition("#")[0]
    except BadSignature as bad:
        did = None
        problem = str(bad)
    if did is None:
        raise Mismatch(problem)
    method, host, *path = did.removeprefix("did:").split(":")
    if method != "web" or not host:
        raise Mismatch("The receipt names no site (did:web) whose keys it was signed with.")
    authority = unquote(host)
    scheme = "http" if urls.is_loopback(urlsplit(f"//{authority}").hostname or "") else "https"
    return f"{scheme}://{authority}/{'/'.join([*path] or ['.well-known'])}/did.json"


def _fetched(url: str) -> bytes:
    import httpx  # slow to import, and a file of keys needs none

    try:
        with httpx.Client(timeout=_SECONDS) as http, http.stream("GET", url) as answer:
            if answer.status_code != 200:
                raise _NoKeys(f"The keys are not at {url}: HTTP {answer.status_code}.")
            text = b""
            for chunk in answer.iter_bytes():
                text += chunk
                if len(text) > _MOST_BYTES:
                    raise _NoKeys(f"The keys at {url} are too long.")
            return text
    except (httpx.HTTPError, httpx.InvalidURL):
        pass
    raise _NoKeys(f"The keys cannot be fetched from {url}; give a file with --keys.")
