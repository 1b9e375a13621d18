"""One payment buys one execution, however often, by whomever and for whatever it is presented."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from x402.http.utils import decode_payment_required_header
from x402.schemas import PaymentPayload

from core import db
from core.resources import versions
from tests import shops
from tests.refusals import refusal_of
from tests.shops import PRICE_ATOMIC, Buyer, Shop

TOPIC = {"topic": "the sea"}
COPIES = 50


@pytest.mark.parametrize("fault", [None, "slow_before:0.5", "slow:0.5"], ids=["fast", "before-settling", "settled"])
async def test_many_copies_at_once(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient, fault: str | None
) -> None:
    """Fifty concurrent copies of one payment, before, during and after its settlement: one settlement, one answer."""
    if fault:
        await buyer.facilitator(fault)
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC), "Prefer": "wait=20"}

    async def copy(number: int) -> httpx.Response:
        await asyncio.sleep(number * 0.01)
        return await http.post(url, json=TOPIC, headers=paid)

    answers = await asyncio.gather(*map(copy, range(COPIES)))

    assert [answer.status_code for answer in answers] == [200] * COPIES
    assert len({answer.text for answer in answers}) == 1
    assert await buyer.settles() == 1
    await only_one(pool, shop)


async def test_copies_while_others_win(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A copy that is verified after the winner's settlement gets 200 or 202, never 402."""
    url = door + shop.path
    headers = [await buyer.pay(url, TOPIC, shops.named) for _ in range(8)]
    now = {"Prefer": "respond-async"}
    answers = await asyncio.gather(
        *(http.post(url, json=TOPIC, headers=now | {"PAYMENT-SIGNATURE": header}) for header in headers * 6)
    )

    assert {answer.status_code for answer in answers} <= {200, 202}
    assert await buyer.settles() == len(headers)
    assert len({answer.headers["Content-Location"] for answer in answers}) == len(headers)
    assert len(await shops.at_rest(pool, shop)) == len(await shop.received()) == len(headers)


async def test_later_copy(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """Much later the same payment gets the stored answer and the same receipt, whatever the spelling of its JSON."""
    url = door + shop.path
    header = await buyer.pay(url, TOPIC)
    spelled = base64.b64encode(json.dumps(dict(reversed(payload_of(header).items())), indent=1).encode()).decode()
    first = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header})
    again = await http.post(url, content=b' {"topic":"the\\u0020sea"}', headers={"PAYMENT-SIGNATURE": spelled})

    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert first.headers["PAYMENT-RESPONSE"] == again.headers["PAYMENT-RESPONSE"]
    await only_one(pool, shop)


async def test_another_request(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """The same payment with other inputs, or at another resource, is 409 with the receipt of what it bought."""
    await shop.publish(pool, slug="limerick")
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    receipt = (await http.post(url, json=TOPIC, headers=paid)).json()["receipt"]
    other_inputs = await http.post(url, json={"topic": "the hills"}, headers=paid)
    other_resource = await http.post(f"{door}/@{shop.account.handle}/limerick", json=TOPIC, headers=paid)

    refused(other_inputs, "other_request", receipt)
    refused(other_resource, "other_request", receipt)
    await only_one(pool, shop)


async def test_a_stranger_with_public_calldata(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A payment rebuilt from public calldata, without a quote or with the stranger's own, gets no answer."""
    url = door + shop.path
    header = await buyer.pay(url, TOPIC)
    answer = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header})
    own = decode_payment_required_header((await http.get(url)).headers["PAYMENT-REQUIRED"]).accepts[0]
    without = payload_of(header)
    del without["accepted"]["extra"]["quoteId"]
    upper = payload_of(header)
    for name in ("from", "nonce"):
        upper["payload"]["authorization"][name] = "0x" + upper["payload"]["authorization"][name][2:].upper()
    with_own = payload_of(header) | {"accepted": own.model_dump(by_alias=True)}
    for payload in (without, upper, with_own):
        theirs = {"PAYMENT-SIGNATURE": base64.b64encode(json.dumps(payload).encode()).decode()}
        refused(await http.post(url, json=TOPIC, headers=theirs), "not_yours_to_read", answer.json()["receipt"])
    await only_one(pool, shop)


async def test_a_buyer_without_a_quote(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A buyer who does not echo the quote is served, but cannot prove to be the sender later: 409 with the receipt."""

    def forget(payload: PaymentPayload) -> None:
        del payload.accepted.extra["quoteId"]

    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC, forget)}
    answer = await http.post(url, json=TOPIC, headers=paid)
    assert answer.status_code == 200
    refused(await http.post(url, json=TOPIC, headers=paid), "not_yours_to_read", answer.json()["receipt"])
    status = await http.get(answer.headers["Content-Location"])
    assert status.json()["response"] == answer.json()["response"]
    await only_one(pool, shop)


async def test_made_for_another_resource(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A payment for one resource buys nothing at another with the same creator and price, and still buys the first."""
    await shop.publish(pool, slug="limerick")
    limerick = f"{door}/@{shop.account.handle}/limerick"

    def unquoted(payload: PaymentPayload) -> None:
        del payload.accepted.extra["quoteId"]

    def unnamed(payload: PaymentPayload) -> None:
        payload.resource = None

    for change in (unquoted, unnamed):
        paid = {"PAYMENT-SIGNATURE": await buyer.pay(limerick, TOPIC, change)}
        answer = await http.post(door + shop.path, json=TOPIC, headers=paid)
        assert (answer.status_code, answer.json()["code"]) == (402, "wrong_resource")
        assert await shop.received() == []
    assert (await http.post(limerick, json=TOPIC, headers=paid)).status_code == 200


async def test_a_quote_keeps_its_word(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A buyer pays the quoted price and gets the quoted template, before and after a new one is published."""
    url = door + shop.path
    quoted = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    await shop.publish(pool, template="canary-template: a limerick about {topic}{/topic}", price_usdc="0.02")
    fresh = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    for headers in (quoted, fresh, quoted):
        assert (await http.post(url, json=TOPIC, headers=headers)).status_code == 200

    assert [int(transfer["amount"]) for transfer in await shop.received()] == [PRICE_ATOMIC, 2 * PRICE_ATOMIC]
    old, new = [send["body"]["messages"][0]["content"] for send in await shop.sends()]
    assert "haiku" in old
    assert "limerick" in new


async def test_refused_and_back_again(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A refused settlement is 402 with an offer and leaves nothing behind; the same payment may come back."""
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    await buyer.facilitator("refuse:insufficient_funds")
    first = await http.post(url, json=TOPIC, headers=paid)

    assert first.status_code == 402
    assert first.json()["code"] == "insufficient_funds"
    assert decode_payment_required_header(first.headers["PAYMENT-REQUIRED"]).accepts[0].amount == str(PRICE_ATOMIC)
    assert refusal_of(first).error_reason == "insufficient_funds"
    (void,) = await shops.executions(pool, shop)
    assert (void.state, void.payment_state) == ("void", "failed")
    assert await set_aside(pool, shop) == (0, 0)

    second, third = [await http.post(url, json=TOPIC, headers=paid) for _ in range(2)]
    assert second.status_code == third.status_code == 200
    assert second.json() == third.json()
    assert await buyer.settles() == 2
    execution = await only_one(pool, shop)
    assert execution.id == void.id
    story = "SELECT to_state FROM payment_transitions WHERE payment_id = %(id)s ORDER BY id"
    states = [row.to_state for row in await shops.rows(pool, story, id=execution.payment_id)]
    assert states == ["settling", "failed", "settling", "paid"]


async def test_unfunded_and_back_again(door: str, shop: Shop, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """A wallet without money is refused before any claim; once it is funded, the same payment buys."""
    poor, url = Buyer(), door + shop.path
    paid = {"PAYMENT-SIGNATURE": await poor.pay(url, TOPIC)}
    first = await http.post(url, json=TOPIC, headers=paid)
    assert (first.status_code, await shops.executions(pool, shop)) == (402, [])
    await poor.fund(PRICE_ATOMIC)
    assert (await http.post(url, json=TOPIC, headers=paid)).status_code == 200
    await only_one(pool, shop)


# --- what all of them check


def payload_of(header: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(base64.b64decode(header))
    return payload


def refused(answer: httpx.Response, code: str, receipt: dict[str, Any]) -> None:
    """409 with the receipt, and no answer."""
    assert answer.status_code == 409, answer.text
    assert answer.json()["code"] == code
    assert answer.json()["receipt"] == shops.money(receipt)
    assert "response" not in answer.json()
    assert "Content-Location" not in answer.headers


async def set_aside(pool: db.Pool, shop: Shop) -> tuple[int, int]:
    """The reserved and the spent amount of the creator's cap."""
    query = "SELECT sum(reserved_usd) AS r, sum(spent_usd) AS s FROM spend_days WHERE account_id = %(id)s"
    (row,) = await shops.rows(pool, query, id=shop.account.id)
    return row.r, row.s


async def only_one(pool: db.Pool, shop: Shop) -> Any:
    """One execution, one request to the model, one transfer, one usage row."""
    (execution,) = await shops.at_rest(pool, shop)
    (transfer,) = await shop.received()
    assert (execution.state, execution.usage_rows, execution.sends) == ("succeeded", 1, 1)
    assert len(await shop.sends()) == 1
    assert transfer["transaction"] == execution.transaction
    assert transfer["amount"] == PRICE_ATOMIC
    return execution


async def test_what_was_paid_for_outlives_the_resource(door: str, shop: Shop) -> None:
    """After archiving, a probe and a new payment find nothing, and the old payment still gets its answer."""
    buyer = await Buyer().fund()
    url, inputs = door + shop.path, {"topic": "the sea"}
    async with httpx.AsyncClient(timeout=30, headers={"Prefer": "wait=20"}) as http, db.pool() as pool:
        paid, unused = await buyer.pay(url, inputs), await buyer.pay(url, inputs)
        first = await http.post(url, json=inputs, headers={"PAYMENT-SIGNATURE": paid})
        async with pool.connection() as conn:
            await versions.archive(conn, shop.account.id, "haiku")
        probe = await http.get(url)
        late = await http.post(url, json=inputs, headers={"PAYMENT-SIGNATURE": unused})
        again = await http.post(url, json=inputs, headers={"PAYMENT-SIGNATURE": paid})

    assert probe.status_code == late.status_code == 404
    assert again.status_code == 200
    assert again.json() == first.json()
    assert len(await shop.received()) == 1
