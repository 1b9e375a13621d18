"""What the chain shows and no row knows, as after a restore to an earlier moment, is claimed as paid and answered."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from eth_account.signers.local import LocalAccount
from x402.http.utils import decode_payment_signature_header, encode_payment_signature_header
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.schemas import PaymentPayload

from core import db
from core.payments import quotes
from core.settings import SANDBOX_NETWORK
from tests import shops
from tests.shops import PRICE_ATOMIC, Buyer, Change, Shop

TOPIC = {"topic": "the sea"}
PATIENTLY = {"Prefer": "wait=20"}
USED = "nonce_already_used"


async def test_it_is_answered_once(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """Ten presentations at once, and any later, get one answer; nothing is settled, the receipt names the transfer."""
    url = door + shop.path
    header = await buyer.pay(url, TOPIC)
    await buyer.settle_directly(header)
    paid = {"PAYMENT-SIGNATURE": header} | PATIENTLY
    answers = await asyncio.gather(*(http.post(url, json=TOPIC, headers=paid) for _ in range(10)))
    later = await http.post(url, json=TOPIC, headers=paid)

    assert {answer.status_code for answer in (*answers, later)} == {200}, answers[0].text
    assert len({answer.text for answer in (*answers, later)}) == 1
    (transfer,) = await shop.received()
    assert later.json()["receipt"]["transaction"] == transfer["transaction"]
    (execution,) = await shops.at_rest(pool, shop)
    assert (execution.state, execution.transaction) == ("succeeded", transfer["transaction"])
    (row,) = await shops.rows(pool, "SELECT reason FROM payments WHERE id = %(id)s", id=execution.payment_id)
    assert (row.reason, await buyer.settles()) == ("found_on_chain", 1)


@pytest.mark.parametrize("end", ["authorization", "quote", "both"])
async def test_it_may_be_late(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient, end: str, monkeypatch: Any
) -> None:
    """Its authorization and its quote may have ended since it landed; had it not landed, it is refused as ever."""
    url = door + shop.path
    old = await quote(pool, shop, monkeypatch, seconds_ago=310)

    def change(payload: PaymentPayload) -> None:
        if end != "quote":
            sign_again(buyer.wallet, 5)(payload)
        if end != "authorization":
            payload.accepted.extra["quoteId"] = old

    unused, used = [await buyer.pay(url, TOPIC, change) for _ in range(2)]
    await buyer.settle_directly(used)
    refused = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": unused})
    answer = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": used} | PATIENTLY)

    assert (refused.status_code, refused.json()["code"] in ("expired", "quote_expired")) == (402, True)
    assert answer.status_code == 200, answer.text
    assert len(await shop.received()) == 1


async def test_a_stranger_gets_nothing(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient, monkeypatch: Any
) -> None:
    """What is public does not prove its sender: neither with an offer made after the landing, nor without any."""
    url = door + shop.path
    header = await buyer.pay(url, TOPIC)
    await buyer.settle_directly(header)
    fresh = await quote(pool, shop, monkeypatch, seconds_ago=-2)
    for stolen in (fresh, None, "made-up"):
        payload = decode_payment_signature_header(header)
        assert isinstance(payload, PaymentPayload)
        payload.accepted.extra.pop("quoteId")
        if stolen:
            payload.accepted.extra["quoteId"] = stolen
        refused = await http.post(
            url, json=TOPIC, headers={"PAYMENT-SIGNATURE": encode_payment_signature_header(payload)}
        )
        assert refused.status_code == 402, stolen
        assert refused.json()["code"].endswith(USED) or stolen == "made-up"
    assert await shops.executions(pool, shop) == []

    assert (await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header} | PATIENTLY)).status_code == 200


async def test_it_must_be_exactly_our_transfer(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A nonce that was used up for somebody else, or cancelled, buys nothing."""
    url = door + shop.path
    header = await buyer.pay(url, TOPIC)
    payload = decode_payment_signature_header(header)
    assert isinstance(payload, PaymentPayload)
    nonce = payload.payload["authorization"]["nonce"]
    other = decode_payment_signature_header(await buyer.pay(url, TOPIC, with_nonce(buyer.wallet, nonce)))
    await buyer.settle_directly(encode_payment_signature_header(other))
    refused = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header})

    assert (refused.status_code, refused.json()["code"].endswith(USED)) == (402, True)
    assert await shops.executions(pool, shop) == []
    assert await shop.received() == []


def sign_again(wallet: LocalAccount, seconds: int) -> Change:
    """Sign the same terms for another time."""

    def change(payload: PaymentPayload) -> None:
        terms = payload.accepted.model_copy(update={"max_timeout_seconds": seconds})
        payload.payload = ExactEvmScheme(wallet).create_payment_payload(terms)

    return change


def with_nonce(wallet: LocalAccount, nonce: str) -> Change:
    """Sign a transfer to somebody else with this nonce."""

    def change(payload: PaymentPayload) -> None:
        payload.accepted = payload.accepted.model_copy(update={"pay_to": "0x" + "11" * 20})
        message = payload.payload["authorization"] | {"to": payload.accepted.pay_to, "nonce": nonce}
        numbers = {name: int(message[name]) for name in ("value", "validAfter", "validBefore")}
        kinds = {"from": "address", "to": "address", "nonce": "bytes32"}
        signed = wallet.sign_typed_data(
            {
                "name": payload.accepted.extra["name"],
                "version": payload.accepted.extra["version"],
                "chainId": int(SANDBOX_NETWORK.split(":")[1]),
                "verifyingContract": payload.accepted.asset,
            },
            {
                "TransferWithAuthorization": [
                    {"name": name, "type": kinds.get(name, "uint256")}
                    for name in ("from", "to", "value", "validAfter", "validBefore", "nonce")
                ]
            },
            message | numbers | {"nonce": bytes.fromhex(nonce[2:])},
        )
        payload.payload = {"authorization": message, "signature": "0x" + signed.signature.hex()}

    return change


async def quote(pool: db.Pool, shop: Shop, monkeypatch: pytest.MonkeyPatch, *, seconds_ago: int) -> str:
    """A quote that was made at another time."""
    version = await shop.version(pool)
    assert version.price_atomic == PRICE_ATOMIC
    with monkeypatch.context() as then:
        then.setattr(quotes, "time", SimpleNamespace(time=lambda: time.time() - seconds_ago))
        return quotes.make_quote(version, [(SANDBOX_NETWORK, shop.payout)])
