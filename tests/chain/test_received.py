"""Every transfer to an address, read from a real node's logs."""

from datetime import UTC, datetime, timedelta

from core import db
from core.net import json_client
from core.payments import chain as reading
from core.payments import reconciliation, settlement
from core.payments.chain import Transfer
from tests import practice, shops
from tests.chain.anvil import Chain
from tests.chain.conftest import Market
from tests.shops import PRICE_ATOMIC, Buyer, Shop


async def test_each_transfer_is_listed_with_its_own_authorization(chain: Chain) -> None:
    """Several in one transaction, among transfers to others; a transfer without an authorization has no nonce."""
    payer, seller, stranger = practice.wallet(), practice.wallet().address, practice.wallet().address
    ours = [chain.signed(payer, pay_to=seller) for _ in range(2)]
    theirs = [chain.signed(payer, pay_to=stranger) for _ in range(2)]
    together = chain.bring_together(theirs[0], *ours, theirs[1])
    chain.cancel(payer, practice.nonce(chain.signed(payer, pay_to=seller)))
    chain.mint(seller, 7)
    since = datetime.fromtimestamp(chain.now(), UTC) - timedelta(minutes=1)
    async with json_client.client() as http:
        pages = reading.received(http, chain.network(), [seller], since)
        found = [transfer async for page in pages for transfer in page]

    minted = [transfer for transfer in found if transfer.nonce is None]
    assert [(one.payer, one.pay_to, one.amount_atomic) for one in minted] == [("0x" + "0" * 40, seller.lower(), 7)]
    assert [transfer for transfer in found if transfer.nonce is not None] == [
        Transfer(together, payer.address.lower(), seller.lower(), 2000, practice.nonce(paid)) for paid in ours
    ]


async def test_a_real_wallet_may_receive_other_money(market: Market, shop: Shop, buyer: Buyer, pool: db.Pool) -> None:
    """A sale on the chain agrees with the ledger; other income of its creator is counted, and is no difference."""
    async with buyer.client(timeout=60) as client:
        answer = await client.post(market.door + shop.path, json={"topic": "the sea"}, headers={"Prefer": "wait=20"})
    (sold,) = await shops.at_rest(pool, shop)
    market.chain.mint(shop.payout, 7)
    market.chain.bring(market.chain.signed(pay_to=shop.payout))
    async with settlement.payment_clients() as clients:
        found = await reconciliation.compare_with_chain(pool, clients, since=sold.created_at)
    book = next(book for book in found.books if book.network == market.chain.id)

    assert answer.status_code == 200, answer.text
    assert [one for one in found.differences if one.account_id in (None, shop.account.id)] == []
    assert book.chain.state == "compared"
    assert book.chain.foreign >= 2
    assert book.received.amount_atomic >= PRICE_ATOMIC
