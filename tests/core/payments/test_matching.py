"""Offers, quotes and the match of payments: properties, without a database or a server."""

import base64
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st
from x402.schemas import PaymentPayload, PaymentRequirements

from core import failures
from core.payments import codec, matching, offers, quotes
from core.resources.parameters import Parameter
from core.resources.versions import Version
from core.secrets.vault import new_master_key, vault
from core.settings import SANDBOX_ASSET, SANDBOX_NETWORK, settings
from tests import practice

PAYOUTS = {SANDBOX_NETWORK: practice.PAY_TO}
WALLET = practice.wallet()

prices = st.integers(1000, 2**63 - 1)
quick = bounds(max_examples=60, deadline=None)


def version(**changes: Any) -> Version:
    """A version that is on sale."""
    columns: dict[str, Any] = {
        "version_id": uuid4(),
        "resource_id": uuid4(),
        "account_id": uuid4(),
        "handle": "ada",
        "slug": "haiku",
        "number": 1,
        "title": "Haiku",
        "description": "",
        "modality": "text",
        "model_id": "test/small",
        "parameters": (Parameter(name="topic"),),
        "allows_user_message": False,
        "max_output_tokens": 1000,
        "temperature": None,
        "timeout_seconds": 60,
        "price_atomic": 10_000,
        "worst_cost_usd": Decimal("0.001"),
        "zdr": False,
        "answer_schema": None,
        "truncated_from_characters": None,
        "reasoning_effort": None,
        "prompt_shield": "off",
        "inputs_in": "template",
        "shielded_calls": 0,
        "withheld_calls": 0,
        "providers": None,
        "fallbacks": (),
        "alternatives": (),
        "supported_parameters": (),
        "output_modalities": (),
        "prices": None,
        "sealed_template": b"",
        "archived": False,
    }
    return Version(**columns | changes)


def paid(sold: Version) -> PaymentPayload:
    """A payment as a stock client signs it for our offer."""
    required = offers.payment_required(sold, PAYOUTS, "Payment required", quotes.make_quote(sold, PAYOUTS.items()))
    payload = practice.payment(WALLET, required.accepts[0])
    payload.resource = required.resource
    return payload


@pytest.fixture
def other_master_key() -> Iterator[Callable[[bool], None]]:
    """Change the master keys: to a new one only, or to a new one before the present one."""
    present = os.environ["INSTANT_MASTER_KEYS"]

    def use(keys: str) -> None:
        os.environ["INSTANT_MASTER_KEYS"] = keys
        settings.cache_clear()
        vault.cache_clear()

    yield lambda keep: use(f"{new_master_key('new')},{present}" if keep else new_master_key("new"))
    use(present)


# --- quotes


@quick
@given(st.uuids(), prices)
def test_a_quote_says_what_was_put_in(version_id: UUID, price: int) -> None:
    """Version, price and expiry are read back; two quotes for the same version differ."""
    sold = version(version_id=version_id, price_atomic=price)
    before = int(time.time())
    quote = quotes.make_quote(sold, PAYOUTS.items())
    read = quotes.read_quote(quote)

    assert read
    assert (read.version_id, read.price_atomic) == (version_id, price)
    assert before <= read.expires - settings().quote_seconds <= time.time()
    assert quote != quotes.make_quote(sold, PAYOUTS.items())


def test_no_flipped_bit_passes() -> None:
    """Every single bit of a quote is covered by its MAC."""
    quote = quotes.make_quote(version(), PAYOUTS.items())
    raw = base64.urlsafe_b64decode(quote + "=" * (-len(quote) % 4))
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        assert quotes.read_quote(base64.urlsafe_b64encode(flipped).decode().rstrip("=")) is None


@quick
@given(
    st.none() | st.integers() | st.text() | st.binary() | st.binary().map(lambda raw: base64.b64encode(raw).decode())
)
def test_anything_else_is_no_quote(text: object) -> None:
    """Any other value that a client echoes is read without an exception."""
    assert quotes.read_quote(text) is None


def test_quotes_and_master_keys(other_master_key: Callable[[bool], None]) -> None:
    """A quote stays valid after a rotation that keeps its key, and not after its key is lost."""
    quote = quotes.make_quote(version(), PAYOUTS.items())
    other_master_key(True)
    assert quotes.read_quote(quote)
    other_master_key(False)
    assert quotes.read_quote(quote) is None


# --- hashes


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same JSON with its members in another order."""
    if isinstance(value, dict):
        members = [(name, shuffled(member, chance)) for name, member in value.items()]
        chance.shuffle(members)
        return dict(members)
    return value


@quick
@given(st.randoms(use_true_random=False), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_spelling_does_not_change_the_hash(chance: random.Random, indent: int | str | None, ascii_only: bool) -> None:
    """Order of members, white space and escapes do not change a payment."""
    payload = paid(version(description="Für Elise"))
    document = shuffled(payload.model_dump(by_alias=True, exclude_none=True), chance)
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    read = codec.decode(base64.b64encode(text.encode()).decode())

    assert matching.payload_sha256(read) == matching.payload_sha256(payload)


def test_each_member_changes_the_hash() -> None:
    """Authorization, signature, quote and resource all change it."""
    payload = paid(version())
    changes: list[Callable[[PaymentPayload], object]] = [
        lambda p: p.payload["authorization"].update(nonce="0x" + "1" * 64),
        lambda p: p.payload.update(signature="0x" + "1" * 130),
        lambda p: p.accepted.extra.update(quoteId="other"),
        lambda p: setattr(p.accepted, "amount", "1"),
        lambda p: setattr(p, "resource", None),
    ]
    hashes = {matching.payload_sha256(payload)}
    for change in changes:
        other = payload.model_copy(deep=True)
        change(other)
        hashes.add(matching.payload_sha256(other))

    assert len(hashes) == 1 + len(changes)


@quick
@given(st.uuids(), st.dictionaries(st.text(), st.text()), st.uuids(), st.dictionaries(st.text(), st.text()))
def test_requests(one: UUID, inputs: dict[str, str], other: UUID, others: dict[str, str]) -> None:
    """Two requests hash alike exactly when resource and inputs are equal, in any order."""
    again = dict(reversed(inputs.items()))

    assert matching.request_sha256(one, inputs) == matching.request_sha256(one, again)
    same = (one, inputs) == (other, others)
    assert (matching.request_sha256(one, inputs) == matching.request_sha256(other, others)) is same


# --- matching


def upper(text: str) -> str:
    """Upper-case hex, with the prefix unchanged."""
    return "0x" + text[2:].upper()


def test_our_offer_matches() -> None:
    """A stock client's payment for our offer matches; we claim, settle and look for the normalised values."""
    sold = version()
    payload = paid(sold)
    terms = matching.match(payload, sold, PAYOUTS)

    assert (terms.payer, terms.pay_to) == (WALLET.address.lower(), practice.PAY_TO.lower())
    assert (terms.amount_atomic, terms.quoted) == (sold.price_atomic, True)
    assert terms.valid_before.timestamp() == int(payload.payload["authorization"]["validBefore"])
    extra = {name: value for name, value in (payload.accepted.extra or {}).items() if name != "quoteId"}
    assert terms.requirements == payload.accepted.model_copy(update={"extra": extra})
    assert payload.payload["signature"] not in repr(terms)


@quick
@given(st.sets(st.sampled_from(["from", "to", "nonce", "asset", "payTo", "signature"])))
def test_capitals_are_the_same_money(spelled: set[str]) -> None:
    """Lower or upper case hex gives the same payment key, and both match."""
    sold = version()
    payload = paid(sold)
    key = matching.key_of(payload)
    terms = matching.match(payload, sold, PAYOUTS)
    document = payload.model_dump(by_alias=True)
    for inside in (document["payload"], document["payload"]["authorization"], document["accepted"]):
        for name in spelled & inside.keys():
            inside[name] = upper(inside[name])
    loud = PaymentPayload.model_validate(document)
    matched = matching.match(loud, sold, PAYOUTS)

    assert matching.key_of(loud) == key
    assert key == (SANDBOX_NETWORK, SANDBOX_ASSET, matched.payer, matched.nonce)
    assert (matched.payer, matched.pay_to, matched.nonce) == (terms.payer, terms.pay_to, terms.nonce)


def priced(price: int) -> PaymentRequirements:
    sold = version(price_atomic=price)
    return offers.payment_required(sold, PAYOUTS, "", quotes.make_quote(sold, PAYOUTS.items())).accepts[0]


@quick
@given(prices, prices)
def test_only_the_price_pays(asked: int, offered: int) -> None:
    """A payment of any other amount is refused, whatever the client's `accepted` says."""
    payload = practice.payment(WALLET, priced(offered))
    if asked == offered:
        assert matching.match(payload, version(price_atomic=asked), PAYOUTS).amount_atomic == asked
    else:
        payload.accepted.amount = str(asked)
        with pytest.raises(failures.PaymentRequired, match="wrong_amount"):
            matching.match(payload, version(price_atomic=asked), PAYOUTS)


@quick
@given(st.integers(0, 64), st.integers(1, 255))
def test_no_other_signature_passes(place: int, change: int) -> None:
    """A signature with any byte changed proves nothing, except for the other form of v."""
    sold = version()
    payload = paid(sold)
    raw = bytearray.fromhex(payload.payload["signature"][2:])
    raw[place] ^= change
    payload.payload["signature"] = "0x" + raw.hex()
    is_other_form = place == 64 and raw[64] in (0, 1) and raw[64] == (raw[64] ^ change) - 27
    assert matching.match(payload, sold, PAYOUTS).is_proved is is_other_form


@pytest.mark.parametrize("quote", ["", "x", 5, ["a"]])
def test_a_quote_that_is_not_ours(quote: object) -> None:
    """A foreign quote keeps no price; clients may also omit the quote."""
    payload = paid(version())
    matching.require_live_quote(payload)
    payload.accepted.extra["quoteId"] = quote
    with pytest.raises(failures.PaymentRequired, match="quote_unknown"):
        matching.require_live_quote(payload)
    del payload.accepted.extra["quoteId"]
    matching.require_live_quote(payload)
