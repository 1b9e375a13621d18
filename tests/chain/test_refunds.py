"""Refunds on a real chain: one transfer, gasless through the facilitator; the chain refuses a second."""

import httpx
import pytest
from web3.exceptions import ContractLogicError
from x402.schemas import PaymentPayload

from core import db
from core.payments import refund_authorizations, refund_payment, settlement
from core.payments.refund_payment import Limits
from core.payments.refund_transfers import Reserved
from tests import debts, practice, shops
from tests.chain.conftest import Market
from tests.chain.gate import lose_the_reply, only
from tests.shops import PRICE_ATOMIC, Buyer, Shop


async def test_the_chain_refuses_a_second(market: Market, shop: Shop, buyer: Buyer, pool: db.Pool) -> None:
    """Lost reply, repeat, and the same nonce with another end: the buyer has the money once, and the books agree."""
    account = practice.wallet()
    payer = debts.wallet(account)
    market.chain.mint(payer.address, 3 * PRICE_ATOMIC)
    await shop.openrouter(faults=["status:400*always"])
    async with buyer.client(timeout=60) as client:
        failed = await client.post(market.door + shop.path, json={"topic": "the sea"}, headers={"Prefer": "wait=20"})
    assert failed.status_code == 502, failed.text
    (execution,) = await shops.at_rest(pool, shop)
    await shops.rows(pool, "UPDATE executions SET rerun_until = now() WHERE id = %(id)s RETURNING id", id=execution.id)
    await shops.until(pool, "SELECT count(*) = 1 AS done FROM refunds WHERE execution_id = %(id)s", id=execution.id)
    before = market.chain.balance(buyer.wallet.address)
    async with settlement.payment_clients() as clients:
        planned = await refund_payment.plan(
            pool, clients, payer.address, Limits(any_wallet=True), handle=shop.account.handle
        )
        with market.facilitator.ruled(only("/settle", lose_the_reply)):
            paid = await refund_payment.pay(pool, clients, planned.chosen[0], payer)
        again = await refund_payment.pay(pool, clients, planned.chosen[0], payer)
    (transfer,) = await shops.rows(pool, "SELECT * FROM refund_transfers WHERE execution_id = %(id)s", id=execution.id)

    assert planned.balances == {market.chain.id: 3 * PRICE_ATOMIC}
    assert (paid.state, again.reason) == ("paid", "not_due")
    assert market.chain.received(buyer.wallet.address)[-1] == paid.transaction == transfer.transaction
    assert market.chain.balance(buyer.wallet.address) == before + PRICE_ATOMIC
    network = market.chain.network()
    later = Reserved(
        **{name: getattr(transfer, name) for name in Reserved._fields if name != "valid_before"},
        valid_before=transfer.valid_before.replace(year=transfer.valid_before.year + 1),
    )
    second = PaymentPayload(
        payload={
            "signature": f"0x{payer.sign(refund_authorizations.digest_of(network, later)).hex()}",
            "authorization": refund_authorizations.authorization_of(later),
        },
        accepted=practice.requirements(),
    )
    with pytest.raises(ContractLogicError, match="authorization is used or canceled"):
        market.chain.bring(second)
    async with httpx.AsyncClient() as http:
        told = (await http.get(failed.headers["Content-Location"])).json()
    assert (told["money"], told["refundTransaction"]) == ("refunded", paid.transaction)
