"""Receipts: whatever is changed of a request, an answer, its terms or the receipt itself is noticed."""

import base64
import json
import random
import string
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.executions import fingerprints
from core.executions.views import Execution
from core.payments import receipt_checks, receipts
from core.payments.receipt_checks import Mismatch
from core.secrets import signing
from core.secrets.private import Private
from core.settings import SANDBOX_ASSET, SANDBOX_NETWORK, settings

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
REQUEST = {"topic": "the sea, \N{SNOWMAN} and \x1f", "lines": 3, "rhymes": True, "share": 0.25, "mood": ""}
RESULT: dict[str, object] = {
    "response": 'Waves \N{WAVE DASH} "foam"\n\ud800\x7f',
    "modality": "image",
    "usage": {"input_tokens": 12, "output_tokens": None},
    "citations": [{"url": "https://example.com/?a=1", "title": "Sea"}],
    "files": [{"kind": "image/png", "sha256": fingerprints.of_file(b"picture")}, {"url": "https://example.com/b.png"}],
}
PICTURES = ["data:image/png;base64," + base64.b64encode(b"picture").decode(), "https://example.com/b.png"]
MUTATIONS = 10_000


@dataclass(frozen=True)
class Held:
    """What a buyer has, as bytes."""

    answer: bytes
    request: bytes
    keys: bytes

    def check(self) -> None:
        """Check all of it, as `instant verify` does."""
        answer = receipt_checks.read_json(self.answer, "answer")
        receipt: Any = answer.get("receipt")
        token = receipt.get("jws") if isinstance(receipt, dict) else None
        claims = receipt_checks.check_receipt(str(token), signing.read_keys(json.loads(self.keys)))
        receipt_checks.check_answer(claims, answer)
        request = receipt_checks.read_json(self.request, "request")
        receipt_checks.check_request(claims, request, receipt_checks.salt_of(answer) or "")


def row(**changes: Any) -> Execution:
    """A delivered execution, as the database shows it."""
    salt = "ab" * 16
    delivery = {
        "answer_sha256": fingerprints.of_answer(RESULT, salt),
        "request_sha256": fingerprints.of_request(REQUEST, salt),
        "model_served": "openai/gpt-5-mini",
        "provider": "openrouter",
        "finish_reason": "stop",
        "input_tokens": 12,
        "output_tokens": None,
        "answered_at": (NOW + timedelta(seconds=3)).isoformat(),
    }
    facts = dict.fromkeys(Execution._fields) | {
        "id": UUID(int=7),
        "version_id": UUID(int=8),
        "number": 3,
        "handle": "ada",
        "slug": "haiku",
        "model_id": "openai/gpt-5-mini",
        "delivery": delivery,
        "payment_state": "paid",
        "network": SANDBOX_NETWORK,
        "asset": SANDBOX_ASSET.lower(),
        "pay_to": "0x" + "cd" * 20,
        "payer": "0x" + "ab" * 20,
        "amount_atomic": 10_000,
        "transaction": "0x" + "12" * 32,
        "claimed_at": NOW,
        "decided_at": NOW + timedelta(seconds=1),
    }
    return Execution(**facts | changes)


def held() -> Held:
    """What the buyer of it has, with the public keys of this process."""
    receipt = {
        "transaction": "0x" + "12" * 32,
        "paidUsdc": "0.01",
        "network": SANDBOX_NETWORK,
        "jws": receipts.receipt_of(row()),
        "salt": "ab" * 16,
    }
    answer = RESULT | {"images": PICTURES, "receipt": receipt}
    own = [signing.jwk(one.public_key) for one in receipts._signers()]
    return Held(json.dumps(answer).encode(), json.dumps(REQUEST).encode(), json.dumps({"keys": own}).encode())


def test_what_was_delivered_is_proved() -> None:
    """The whole and unchanged answer and request, also with other spaces and in another order."""
    whole = held()
    whole.check()
    spaced = json.dumps(dict(reversed(json.loads(whole.answer).items())), indent=3, ensure_ascii=True).encode()
    replace(
        whole,
        answer=spaced,
        request=b'{"share":2.5e-1,"topic":' + json.dumps(REQUEST["topic"]).encode() + b',"rhymes":"true","lines":"3"}',
    ).check()


def meaning(text: bytes | bytearray) -> dict[str, Any]:
    """What a JSON object says: an empty input is the same as none."""
    return {name: value for name, value in json.loads(text).items() if value != ""}


def test_any_flipped_bit_is_noticed() -> None:
    """Ten thousand times one bit of the answer with its receipt, or of the request; none goes unnoticed.

    JSON may say the same in two ways. Only what means the same value may pass.
    """
    whole, chance, caught = held(), random.Random(402), 0  # noqa: S311 - it is to be the same each time
    for _ in range(MUTATIONS):
        name = chance.choice(("answer", "answer", "answer", "request"))
        text = bytearray(getattr(whole, name))
        place = chance.randrange(len(text))
        text[place] ^= 1 << chance.randrange(8)
        try:
            replace(whole, **{name: bytes(text)}).check()
        except Mismatch:
            caught += 1
        else:
            near = bytes(text[max(place - 9, 0) : place + 9])
            assert meaning(text) == meaning(getattr(whole, name)), (name, near)
    # What is left are other spellings of an escape, and the name of the empty input.
    assert caught > MUTATIONS * 0.98


@given(st.data())
def test_any_other_term_makes_another_receipt(data: st.DataObject) -> None:
    """Every claim depends on what was sold, paid or delivered: claims that are changed have no signature that fits."""
    token = receipts.receipt_of(row())
    assert token is not None
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    name = data.draw(st.sampled_from(sorted(claims)))
    forged = claims | {name: data.draw(st.one_of(st.none(), st.integers(), st.text(max_size=20)))}
    assume(forged != claims)
    encoded = base64.urlsafe_b64encode(json.dumps(forged, separators=(",", ":")).encode()).decode().rstrip("=")
    keys = {one.thumbprint: one.public_key for one in receipts._signers()}

    with pytest.raises(Mismatch):
        receipt_checks.check_receipt(f"{head}.{encoded}.{signature}", keys)


def test_nobody_else_signs_for_us() -> None:
    """Another key, a foreign site, another purpose, `alg: none`, and a token in another spelling are refused."""
    whole = held()
    token = str(receipts.receipt_of(row()))
    ours = {one.thumbprint: one.public_key for one in receipts._signers()}
    other = signing.signer(Private(b"7" * 32))
    payload = base64.urlsafe_b64decode(token.split(".")[1] + "==")
    elsewhere = receipts.sign(json.loads(payload) | {"resource": "https://example.com/@ada/haiku"}, "receipt+jwt")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"receipt+jwt"}').decode().rstrip("=")
    spellings = (token[:-1] + character for character in string.ascii_letters + string.digits)
    twin = next(one for one in spellings if one != token and _loose(one) == _loose(token))

    for wrong in (
        other.sign(payload, key_id=f"{receipts.did()}#{other.thumbprint}", kind="receipt+jwt"),
        other.sign(payload, key_id=f"{receipts.did()}#{next(iter(ours))}", kind="receipt+jwt"),
        receipts.sign(json.loads(payload), "record+jwt"),
        elsewhere,
        f"{unsigned}.{token.split('.')[1]}.",
        twin,
        token + "\n",
        "",
    ):
        with pytest.raises(Mismatch):
            receipt_checks.check_receipt(wrong, ours)
    whole.check()


def _loose(token: str) -> bytes:
    return base64.urlsafe_b64decode(token.rpartition(".")[2] + "==")


def test_a_receipt_needs_a_payment_and_an_answer() -> None:
    """Neither a test nor a call without an answer has one, of either kind."""
    for missing in ({"delivery": None}, {"payment_state": None}, {"payment_state": "settling"}):
        assert receipts.receipt_of(row(**missing)) is None
        assert receipts.x402_receipt(row(**missing)) is None


def test_the_did_of_a_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port is encoded, and a path follows (did:web, 3.1)."""
    for url, did in (
        ("https://example.com", "did:web:example.com"),
        ("https://Example.com:8443", "did:web:example.com%3A8443"),
        ("https://example.com/shop/one", "did:web:example.com:shop:one"),
    ):
        monkeypatch.setattr(receipts, "settings", lambda url=url: settings().model_copy(update={"public_url": url}))
        assert receipts.did() == did


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("abcXYZ_19", min_size=1), inner, max_size=3)
        ),
        max_leaves=9,
    )
)
def test_canonical_json(value: object) -> None:
    """It says the same value; other orders and spaces give the same bytes (RFC 8785)."""
    written = fingerprints.canonical(value)

    assert json.loads(written.decode()) == value
    assert fingerprints.canonical(json.loads(json.dumps(value, indent=2))) == written


def test_canonical_text() -> None:
    """The example of RFC 8785, 3.2.2 and 3.2.3, as far as we use it: escapes, literals and order."""
    value = {"literals": [None, True, False], "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/"}
    expected = '{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'

    assert fingerprints.canonical(value) == expected.encode()
