"""Sales on a real chain: payments and answers agree, whatever happens between an authorization and its transfer.

The same scenarios on the practice chain are in tests/api (test_unknown.py, test_replays.py).
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from web3.exceptions import ContractLogicError
from x402.http.clients import x402_httpx_transport
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.mechanisms.evm.signers import EthAccountSigner
from x402.schemas import PaymentPayload

from core import db
from tests import practice, shops
from tests.chain.conftest import Market
from tests.chain.gate import Passage, before, lose_the_reply, only, refuse
from tests.shops import PRICE_ATOMIC, Buyer, Shop

TOPIC = {"topic": "the sea"}
AT_ONCE = {"Prefer": "respond-async"}
PATIENTLY = {"Prefer": "wait=20"}
POOR = "invalid_exact_evm_insufficient_balance"

# Longer than an offer requires, and shorter than any other payment of these tests is valid: the chain's clock is
# moved ahead by this time, and stays ahead of ours.
SOON = 30


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client for a buyer without an SDK client."""
    async with httpx.AsyncClient(timeout=60) as client:
        yield client


async def test_stock_client(market: Market, shop: Shop, buyer: Buyer, pool: db.Pool) -> None:
    """The SDK's client pays the SDK's facilitator through us; the receipt is the chain's transaction."""
    async with buyer.client(timeout=60) as client:
        answer = await client.post(market.door + shop.path, json=TOPIC, headers=PATIENTLY)

    assert answer.status_code == 200, answer.text
    (transaction,) = market.chain.received(shop.payout)
    receipt = shops.money(answer.json()["receipt"])
    assert receipt == {"transaction": transaction, "paidUsdc": "0.01", "network": "eip155:31337"}
    assert market.chain.balance(shop.payout) == PRICE_ATOMIC
    await paid_once(market, shop, pool, "settling", "paid settled")


async def test_stock_client_of_v1(market: Market, shop: Shop, pool: db.Pool) -> None:
    """From a v1 offer in the body the SDK's client pays with v1, on a network that has a v1 name."""
    buyer = Buyer()
    market.v1_chain.mint(buyer.wallet.address, PRICE_ATOMIC)
    sdk = buyer.sdk()
    sdk.set_spend_controls({"allowed_assets": True})
    wire = EyesOfV1()
    async with httpx.AsyncClient(transport=x402_httpx_transport(sdk, wire), timeout=60) as client:
        answer = await client.post(market.door + shop.path, json=TOPIC, headers=PATIENTLY)

    assert answer.status_code == 200, answer.text
    assert wire.payments == ["X-PAYMENT"]
    (transaction,) = market.v1_chain.received(shop.payout)
    settled = json.loads(base64.b64decode(answer.headers["X-PAYMENT-RESPONSE"]))
    assert (settled["success"], settled["transaction"], settled["network"]) == (True, transaction, "base-sepolia")
    (execution,) = await shops.at_rest(pool, shop)
    assert (execution.state, execution.transaction) == ("succeeded", transaction)


async def test_fifty_replays_at_once(
    market: Market, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """One payment, sent fifty times at once: one transfer, one run, the same answer fifty times."""
    url, (paid, _) = market.door + shop.path, await signed(market, shop, buyer)
    market.facilitator.passed.clear()
    answers = await asyncio.gather(*(http.post(url, json=TOPIC, headers=paid | PATIENTLY) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert market.facilitator.passed.count("/settle") == 1
    await paid_once(market, shop, pool, "settling", "paid settled")


async def test_somebody_brings_it_first(
    market: Market, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """The facilitator reports a failure, but the seller was paid: found on the chain, answered once."""
    paid, payment = await signed(market, shop, buyer)
    with market.facilitator.ruled(only("/settle", before(lambda: market.chain.bring(payment)))):
        answer = await http.post(market.door + shop.path, json=TOPIC, headers=paid | PATIENTLY)

    assert answer.status_code == 200, answer.text
    doubt = "unknown invalid_exact_evm_nonce_already_used"
    await paid_once(market, shop, pool, "settling", doubt, "paid found_on_chain")


async def test_a_refusal_of_what_has_landed(
    market: Market, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """Somebody else submits it, so the wallet is too poor; the facilitator refuses without looking at the chain."""
    paid, payment = await signed(market, shop, buyer)

    def poor(_passage: Passage) -> bytes:
        market.chain.bring(payment)
        refusal = {"success": False, "errorReason": POOR, "transaction": "", "network": "eip155:31337"}
        return practice.reply(200, json.dumps(refusal).encode())

    with market.facilitator.ruled(only("/settle", poor)):
        answer = await http.post(market.door + shop.path, json=TOPIC, headers=paid | PATIENTLY)

    assert answer.status_code == 200, answer.text
    await paid_once(market, shop, pool, "settling", "paid found_on_chain")


async def test_somebody_brought_it_long_before(
    market: Market, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """It landed before the door ever saw it, as after a restore: claimed as paid. While the node is away: 503."""
    paid, payment = await signed(market, shop, buyer)
    market.chain.bring(payment)
    with market.node.ruled(refuse):
        nobody_knows = await http.post(market.door + shop.path, json=TOPIC, headers=paid)
    answer = await http.post(market.door + shop.path, json=TOPIC, headers=paid | PATIENTLY)

    assert (nobody_knows.status_code, nobody_knows.json()["error"]) == (503, "Resource unavailable")
    assert answer.status_code == 200, answer.text
    await paid_once(market, shop, pool, "settling", "paid found_on_chain")


@pytest.mark.parametrize("spend", ["cancelled", "signed twice"])
async def test_the_payer_spends_the_nonce(
    market: Market, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient, spend: str
) -> None:
    """Cancelled, or used for another transfer, before it is settled: failed with proof, nothing runs, 402 again."""
    paid, payment = await signed(market, shop, buyer)
    nonce, friend = practice.nonce(payment), practice.wallet().address
    acts: dict[str, Callable[[], str]] = {
        "cancelled": lambda: market.chain.cancel(buyer.wallet, nonce),
        "signed twice": lambda: market.chain.move(buyer.wallet, friend, PRICE_ATOMIC, nonce),
    }
    url = market.door + shop.path
    with market.facilitator.ruled(only("/settle", before(acts[spend]))):
        answer = await http.post(url, json=TOPIC, headers=paid | PATIENTLY)

    again = await http.post(url, json=TOPIC, headers=paid | PATIENTLY)
    for refused in (answer, again):
        assert (refused.status_code, refused.json()["code"]) == (402, "used_elsewhere")
    doubt = "unknown invalid_exact_evm_nonce_already_used"
    await not_sold(market, shop, pool, "settling", doubt, "failed used_elsewhere")
    another, _ = await signed(market, shop, buyer)
    assert (await http.post(url, json=TOPIC, headers=another | PATIENTLY)).status_code == 200
    assert len(market.chain.received(shop.payout)) == 1


async def test_the_wallet_is_emptied(
    market: Market, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """Refused after it was verified: 402, nothing runs; once the wallet has tokens, the same payment is accepted."""
    url, (paid, _) = market.door + shop.path, await signed(market, shop, buyer)
    with market.facilitator.ruled(only("/settle", before(lambda: empty(market, buyer)))):
        answer = await http.post(url, json=TOPIC, headers=paid)

    assert (answer.status_code, answer.json()["code"]) == (402, POOR)
    await not_sold(market, shop, pool, "settling", f"failed {POOR}")
    market.chain.mint(buyer.wallet.address, PRICE_ATOMIC)
    assert (await http.post(url, json=TOPIC, headers=paid | PATIENTLY)).status_code == 200
    await paid_once(market, shop, pool, "settling", f"failed {POOR}", "settling again", "paid settled")


async def test_a_refused_payment_lands_late(
    market: Market, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """Refused, and then submitted to the chain by somebody else: the paid call is answered."""
    paid, payment = await signed(market, shop, buyer)
    with market.facilitator.ruled(only("/settle", before(lambda: empty(market, buyer)))):
        assert (await http.post(market.door + shop.path, json=TOPIC, headers=paid)).status_code == 402
    market.chain.mint(buyer.wallet.address, PRICE_ATOMIC)
    market.chain.bring(payment)
    await has_story(pool, shop, "settling", f"failed {POOR}", "paid landed_late")

    answer = await http.post(market.door + shop.path, json=TOPIC, headers=paid | PATIENTLY)
    assert answer.status_code == 200, answer.text
    await paid_once(market, shop, pool, "settling", f"failed {POOR}", "paid landed_late")


async def test_expired_before_anybody_settled_it(
    market: Market, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """Unknown until the chain's own clock is past validBefore and a margin; then failed with proof."""
    url, (paid, payment) = market.door + shop.path, await signed(market, shop, buyer, seconds=SOON)
    with market.facilitator.ruled(only("/settle", refuse)):
        told = await http.post(url, json=TOPIC, headers=paid | AT_ONCE)
        assert (told.status_code, told.json()["state"]) == (202, "processing")
        market.chain.pass_time(int(payment.payload["authorization"]["validBefore"]) - market.chain.now() + 3)
        await has_story(pool, shop, "settling", "unknown connection_lost", "failed expired_unused")

    answer = await http.get(told.json()["statusUrl"])
    assert (answer.json()["state"], answer.json()["code"]) == ("failed", "payment_failed")
    assert (await http.post(url, json=TOPIC, headers=paid)).status_code == 402
    with pytest.raises(ContractLogicError, match="authorization is expired"):
        market.chain.bring(payment)
    await not_sold(market, shop, pool, "settling", "unknown connection_lost", "failed expired_unused")


async def test_the_reply_is_lost(
    market: Market, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """The transfer was made and the reply was lost: 202, found on the chain, answered; never 402."""
    url, (paid, _) = market.door + shop.path, await signed(market, shop, buyer)
    with market.facilitator.ruled(only("/settle", lose_the_reply)):
        told = await http.post(url, json=TOPIC, headers=paid | AT_ONCE)
        assert told.status_code == 202
        answer = await http.post(url, json=TOPIC, headers=paid | PATIENTLY)

    assert answer.status_code == 200, answer.text
    assert (await http.get(told.json()["statusUrl"])).json()["response"] == answer.json()["response"]
    await paid_once(market, shop, pool, "settling", "unknown connection_lost", "paid found_on_chain")


async def test_the_node_is_away(
    market: Market, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """After a lost reply, with the node down: unknown in every pass of recovery, until the node answers."""
    url, (paid, _) = market.door + shop.path, await signed(market, shop, buyer)
    market.node.passed.clear()

    async def looked_thrice() -> bool:
        return len(market.node.passed) >= 3

    with market.facilitator.ruled(only("/settle", lose_the_reply)), market.node.ruled(refuse):
        assert (await http.post(url, json=TOPIC, headers=paid | AT_ONCE)).status_code == 202
        await shops.eventually(looked_thrice)
        told = await http.post(url, json=TOPIC, headers=paid | AT_ONCE)
        assert told.status_code == 202
        assert "Do not pay again" in told.json()["message"]

    assert (await http.post(url, json=TOPIC, headers=paid | PATIENTLY)).status_code == 200
    await paid_once(market, shop, pool, "settling", "unknown connection_lost", "paid found_on_chain")


async def test_no_block_for_a_while(
    market: Market, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """The transaction is in no block yet: the facilitator reports it as pending, the buyer waits; then it is paid."""
    url, (paid, _) = market.door + shop.path, await signed(market, shop, buyer)
    market.chain.ask("evm_setAutomine", False)
    told = await http.post(url, json=TOPIC, headers=paid | AT_ONCE)
    await has_story(pool, shop, "settling", "unknown settlement_pending")
    assert market.chain.received(shop.payout) == []
    market.chain.ask("anvil_mine", 1)
    market.chain.ask("evm_setAutomine", True)
    answer = await http.post(url, json=TOPIC, headers=paid | PATIENTLY)

    assert (told.status_code, answer.status_code) == (202, 200)
    await paid_once(market, shop, pool, "settling", "unknown settlement_pending", None)


# --- what the payer does


class EyesOfV1(httpx.AsyncHTTPTransport):
    """Hides what v1 did not have, and records how the client paid."""

    def __init__(self) -> None:
        super().__init__()
        self.payments: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.payments += [name for name in ("X-PAYMENT", "PAYMENT-SIGNATURE") if name in request.headers]
        answer = await super().handle_async_request(request)
        answer.headers.pop("PAYMENT-REQUIRED", None)
        return answer


async def signed(
    market: Market, shop: Shop, buyer: Buyer, seconds: int | None = None
) -> tuple[dict[str, str], PaymentPayload]:
    """A payment header for TOPIC and its content; valid for `seconds`, or for the offer's time."""
    payments: list[PaymentPayload] = []

    def sign_again(payment: PaymentPayload) -> None:
        if seconds is not None:
            terms = payment.accepted.model_copy(update={"max_timeout_seconds": seconds})
            payment.payload = ExactEvmScheme(EthAccountSigner(buyer.wallet)).create_payment_payload(terms)
        payments.append(payment)

    header = await buyer.pay(market.door + shop.path, TOPIC, sign_again)
    return {"PAYMENT-SIGNATURE": header}, payments[0]


def empty(market: Market, buyer: Buyer) -> None:
    """Transfer the whole wallet to somebody else."""
    balance = market.chain.balance(buyer.wallet.address)
    market.chain.move(buyer.wallet, practice.wallet().address, balance)


# --- what all of them check


async def paid_once(market: Market, shop: Shop, pool: db.Pool, *story: str | None) -> None:
    """Check for one execution, one request to the model, one transfer on the chain, and this history."""
    (execution,) = await shops.at_rest(pool, shop)
    assert (execution.state, execution.usage_rows, execution.sends) == ("succeeded", 1, 1)
    assert market.chain.received(shop.payout) == [execution.transaction]
    assert len(await shop.sends()) == 1
    assert_story(await told(pool, shop), story)


async def not_sold(market: Market, shop: Shop, pool: db.Pool, *story: str) -> None:
    """Check that nothing ran, and nobody was paid."""
    (execution,) = await shops.executions(pool, shop)
    assert (execution.state, execution.payment_state, execution.usage_rows) == ("void", "failed", 0)
    assert (market.chain.received(shop.payout), await shop.sends()) == ([], [])
    assert_story(await told(pool, shop), story)


def assert_story(told: list[str], story: tuple[str | None, ...]) -> None:
    """Compare a history; None stands for paid, with any reason."""
    assert len(told) == len(story), told
    assert all(step == want if want else step.startswith("paid") for step, want in zip(told, story, strict=True)), told


async def has_story(pool: db.Pool, shop: Shop, *story: str) -> None:
    """Wait until the only payment of a shop has this history."""

    async def has() -> bool:
        return await told(pool, shop) == [*story]

    await shops.eventually(has)


async def told(pool: db.Pool, shop: Shop) -> list[str]:
    """The states of a shop's only payment, each with its reason."""
    query = """
        SELECT concat_ws(' ', to_state, payment_transitions.reason) AS step
        FROM payment_transitions JOIN executions USING (payment_id)
        WHERE account_id = %(account_id)s ORDER BY payment_transitions.id
    """
    return [row.step for row in await shops.rows(pool, query, account_id=shop.account.id)]
