"""A buyer of a drill learns what became of a payment, also when a reply is lost."""

from uuid import uuid4

import pytest
from x402.http.utils import encode_payment_signature_header

from core.accounts.accounts import Account
from drills.market import Purchase, market
from tests import practice
from tests.shops import PRICE_ATOMIC, Buyer, Shop

FUNDS = 3 * PRICE_ATOMIC


@pytest.mark.parametrize(("fault", "has_landed"), [("lose_reply", True), ("refuse:insufficient_funds", False)])
async def test_a_payment_is_brought_to_the_chain(practice_facilitator: str, fault: str, has_landed: bool) -> None:
    """Nobody settles twice to find out: the balance says whether it moved."""
    buyer = await Buyer().fund(FUNDS)
    shop = Shop(Account(uuid4(), "ada"), "", "", practice.PAY_TO, "/@ada/haiku")
    header = encode_payment_signature_header(practice.payment(buyer.wallet, practice.requirements()))
    purchase = Purchase(buyer, shop, header, funds=FUNDS)
    await buyer.facilitator(fault)
    async with market() as place:
        await place.land(purchase)

        assert purchase.landed_directly is has_landed is await place.paid(purchase)
        assert place.unreached.total() == has_landed
    assert await buyer.settles() == 1
