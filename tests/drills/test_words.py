"""False answers to buyers are found."""

from collections import Counter
from types import SimpleNamespace

import pytest
from x402.http.utils import encode_payment_signature_header

from drills.books import Books
from drills.market import Purchase
from drills.words import broken_words
from tests import practice
from tests.shops import Buyer


@pytest.fixture(scope="module")
def header() -> str:
    """A signed payment header."""
    return encode_payment_signature_header(practice.payment(practice.wallet(), practice.requirements()))


def told(header: str, *statuses: int, **changes: object) -> Purchase:
    """A purchase, and the answers to it."""
    purchase = Purchase(Buyer(), None, header, list(statuses), {"0xaa the answer"})  # type: ignore[arg-type]
    for name, value in changes.items():
        setattr(purchase, name, value)
    return purchase


def books(purchase: Purchase, state: str | None) -> Books:
    """A ledger with this payment in that state."""
    nonce = bytes.fromhex(purchase.nonce.removeprefix("0x"))
    return Books([SimpleNamespace(nonce=nonce, payment=state)] if state else [], [], Counter())


@pytest.mark.parametrize(
    ("status", "state", "changes"),
    [
        (200, "paid", {}),
        (502, "paid", {}),
        (402, "failed", {}),
        (402, None, {}),
        (402, "paid", {"landed_directly": True}),
    ],
)
def test_true_words(header: str, status: int, state: str | None, changes: dict[str, object]) -> None:
    """402 is true for a payment that failed, and any other status for one that succeeded."""
    purchase = told(header, 202, status, **changes)

    assert broken_words(books(purchase, state), [purchase]) == []


@pytest.mark.parametrize(
    ("status", "state", "changes"),
    [
        (402, "paid", {}),
        (200, "failed", {}),
        (200, "unknown", {}),
        (502, None, {}),
        (202, None, {}),
        (200, "paid", {"answers": {"0xaa one", "0xaa two"}}),
        (200, "paid", {"wrong": ["a stranger was told 200"]}),
        (402, "failed", {"landed_directly": True}),
    ],
)
def test_broken_words(header: str, status: int, state: str | None, changes: dict[str, object]) -> None:
    """False answers about payments, two different results, and landed payments without a record are found."""
    purchase = told(header, status, **changes)

    assert broken_words(books(purchase, state), [purchase])
