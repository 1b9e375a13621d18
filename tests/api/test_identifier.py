"""The payment-identifier extension: the client's own idempotency key."""

import httpx
import pytest
from x402.schemas import PaymentPayload

from tests import shops
from tests.shops import Buyer, Shop

INPUTS = {"topic": "the sea"}


def unquoted(payload: PaymentPayload) -> None:
    """Add an identifier and remove the quote, like a client that does not echo it."""
    shops.named(payload)
    assert payload.accepted.extra is not None
    del payload.accepted.extra["quoteId"]


async def test_the_same_payload_needs_no_quote(door: str, shop: Shop) -> None:
    """An identifier never reaches the chain, so it proves the sender of a payload without a quote."""
    buyer = await Buyer().fund()
    url = door + shop.path
    async with httpx.AsyncClient(timeout=30, headers={"Prefer": "wait=20"}) as http:
        header = {"PAYMENT-SIGNATURE": await buyer.pay(url, INPUTS, unquoted)}
        first = await http.post(url, json=INPUTS, headers=header)
        again = await http.post(url, json=INPUTS, headers=header)

    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert len(await shop.received()) == 1


@pytest.mark.parametrize("identifier", ["short", "a" * 129, "sixteen-letters-\n", "\N{ARABIC-INDIC DIGIT THREE}" * 16])
async def test_a_malformed_identifier_is_refused(door: str, shop: Shop, identifier: str) -> None:
    """An identifier that is not 16 to 128 of [A-Za-z0-9_-] is 400, before any payment."""

    def named(payload: PaymentPayload) -> None:
        assert payload.extensions is not None
        payload.extensions["payment-identifier"]["info"]["id"] = identifier

    buyer = await Buyer().fund()
    url = door + shop.path
    async with httpx.AsyncClient(timeout=30) as http:
        header = {"PAYMENT-SIGNATURE": await buyer.pay(url, INPUTS, named)}
        refused = await http.post(url, json=INPUTS, headers=header)

    assert refused.status_code == 400
    assert await shop.received() == []


async def test_two_different_payments_in_one_request_are_refused(door: str, shop: Shop) -> None:
    """Some wallets send the same value under both header names; two different values are refused."""
    buyer = await Buyer().fund()
    url = door + shop.path
    async with httpx.AsyncClient(timeout=30, headers={"Prefer": "wait=20"}) as http:
        header, other = await buyer.pay(url, INPUTS), await buyer.pay(url, INPUTS)
        refused = await http.post(url, json=INPUTS, headers={"PAYMENT-SIGNATURE": header, "X-PAYMENT": other})
        bought = await http.post(url, json=INPUTS, headers={"PAYMENT-SIGNATURE": header, "X-PAYMENT": header})

    assert refused.status_code == 400
    assert bought.status_code == 200
