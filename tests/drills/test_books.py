"""The check of the books finds every fault; a drill that cannot fail proves nothing."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from drills.books import Books, differences

AMOUNT = 10_000


def sale(**changes: Any) -> Any:
    """A sale without faults."""
    row = {
        "id": "payment",
        "payment": "paid",
        "transaction": "0xaa",
        "amount_atomic": AMOUNT,
        "payer": "0xb",
        "pay_to": "0xc",
        "nonce": b"\x01",
        "execution_id": "execution",
        "state": "succeeded",
        "round": 1,
        "has_rerun": False,
        "refund": None,
        "executions": 1,
        "logged": [1],
        "revenue": AMOUNT,
        "marks": 1,
        "most_sends": 1,
        "reserved": 0,
    }
    return SimpleNamespace(**row | changes)


def transfer(**changes: Any) -> dict[str, Any]:
    """The transfer for a sale."""
    return {"transaction": "0xaa", "payer": "0xb", "nonce": "0x01", "amount": AMOUNT} | changes


def books(*, sends: int = 1, transfers: list[dict[str, Any]] | None = None, **changes: Any) -> Books:
    """The books of one sale."""
    return Books([sale(**changes)], [transfer()] if transfers is None else transfers, Counter(execution=sends))


@pytest.mark.parametrize(
    "whole",
    [
        books(),
        books(state="declined"),
        books(state="failed", has_rerun=True),
        books(state="failed", refund="due", round=2, logged=[1, 2]),
        books(marks=2, most_sends=2),
        books(sends=0, transfers=[], payment="failed", state="void", transaction=None, logged=[], revenue=0, marks=0),
    ],
)
def test_whole_books(whole: Books) -> None:
    """Answered, owed and unpaid sales are accepted; a send may be marked and not made."""
    assert differences(whole) == []


@pytest.mark.parametrize(
    "broken",
    [
        books(executions=2),
        books(transfers=[]),
        books(transfers=[transfer(), transfer(transaction="0xbb")]),
        books(transfers=[transfer(amount=1)]),
        books(transfers=[transfer(payer="0xd")]),
        books(payment="failed", state="void", logged=[], revenue=0),
        books(payment="unknown", state="held", logged=[], revenue=0, transfers=[]),
        books(state="running", logged=[], revenue=0),
        books(state="void", logged=[], revenue=0),
        books(state="failed"),
        books(logged=[]),
        books(logged=[1, 1]),
        books(round=2),
        books(revenue=0),
        books(revenue=2 * AMOUNT),
        books(sends=2),
        books(sends=3, marks=3, most_sends=3),
        books(reserved=1),
    ],
)
def test_broken_books(broken: Books) -> None:
    """Lost, doubled, forgotten and unmarked parts are found."""
    assert differences(broken)
