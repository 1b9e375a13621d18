"""A prompt that cannot be sold now is neither offered nor paid for: one sentence, no reason, no charge."""

import asyncio
import base64
import json
import os
import time
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx

from core import db
from tests import doors, servers, shops
from tests.refusals import TOPIC, nothing_claimed, offer_sells, plain
from tests.selling import add_model
from tests.shops import Buyer, Shop


async def sells_nothing(http: httpx.AsyncClient, url: str, header: str) -> None:
    """Probe and payment get the same: one sentence, no reason, no offer."""
    probe = await http.get(url)
    paid = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header})
    for answer in (probe, paid):
        problem = plain(answer, 503, "resource_unavailable")
        assert problem == {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": "Resource unavailable",
            "error": "Resource unavailable",
            "code": "resource_unavailable",
        }
        assert int(answer.headers["Retry-After"]) > 0
        assert "PAYMENT-REQUIRED" not in answer.headers


UNREADY = {
    "key switched off": ("provider_keys", "enabled", "false", "true"),
    "key rejected": ("provider_keys", "rejected_at", "now()", "NULL"),
    "payout elsewhere": ("payout_addresses", "network", "'eip155:1'", "'eip155:402402'"),
    "spend cap": ("accounts", "daily_spend_cap_usd", "0", "50"),
    "the prompt's own cap": ("resources", "daily_spend_cap_usd", "0", "NULL"),
    "a creator's own cap": ("accounts", "own_daily_spend_cap_usd", "0", "NULL"),
    "monthly cap": ("accounts", "monthly_spend_cap_usd", "0", "NULL"),
    "the prompt's monthly cap": ("resources", "monthly_spend_cap_usd", "0", "NULL"),
    "most per call": ("accounts", "most_per_call_usd", "0", "NULL"),
    "the prompt's most per call": ("resources", "most_per_call_usd", "0", "NULL"),
    "model withdrawn": ("models", "disabled", "true", "false"),
}
OWNED = {
    "resources": "account_id = %(id)s",
    "accounts": "id = %(id)s",
    "models": "id = 'test/' || %(id)s::text",
    "provider_keys": "account_id = %(id)s",
    "payout_addresses": "account_id = %(id)s",
}


async def test_not_sellable(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """While it cannot run: 503 without a reason, nothing claimed; once the obstacle is gone, the offer is back."""
    async with pool.connection() as conn:
        await add_model(conn, id=f"test/{shop.account.id}")
    await shop.publish(pool, model=f"test/{shop.account.id}")
    url = door + shop.path
    header = await buyer.pay(url, TOPIC)
    for table, column, broken, mended in UNREADY.values():
        change = f"UPDATE {table} SET {column} = TO_BE WHERE {OWNED[table]} RETURNING 1"  # noqa: S608 - all ours
        await shops.rows(pool, change.replace("TO_BE", broken), id=shop.account.id)
        await sells_nothing(http, url, header)
        await shops.rows(pool, change.replace("TO_BE", mended), id=shop.account.id)
        assert (await http.get(url)).status_code == 402
    await shops.rows(pool, "DELETE FROM provider_keys WHERE account_id = %(id)s RETURNING 1", id=shop.account.id)
    await sells_nothing(http, url, header)
    await nothing_claimed(pool, shop, buyer)


async def test_full_queue(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """While a creator's queue is full the next buyer gets 503; when there is room, the refused payment still works."""
    url = door + shop.path
    first, second = await buyer.pay(url, TOPIC), await (late := await Buyer().fund()).pay(url, TOPIC)
    await shop.openrouter(latency_seconds=1)
    await shops.rows(pool, "UPDATE accounts SET queue_limit = 1 WHERE id = %(id)s RETURNING id", id=shop.account.id)
    await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": first, "Prefer": "respond-async"})
    await shop.sends(arrived=1)
    await sells_nothing(http, url, second)
    assert await late.settles() == 0
    await shops.at_rest(pool, shop)
    assert (await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": second})).status_code == 200


async def test_rates(surroundings: Path, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """Too many payments of one wallet, or requests of one address, are 429 with Retry-After."""
    rates = {"INSTANT_PAYER_RATE": "3/hour", "INSTANT_ADDRESS_RATE": "30/minute"}
    with doors.door(surroundings, servers.free_port(), **rates) as door:
        url = door.url + shop.path
        headers = [{"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)} for _ in range(4)]
        answers = [await http.post(url, json=TOPIC, headers=header) for header in headers]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        again = await http.post(url, json=TOPIC, headers=headers[0])
        assert again.json() == answers[0].json(), "fetching what was paid for is no payment"
        # Retries of a purchase under fresh signatures count too: each is kept as long as the answer.
        repeats = partial(shops.named, identifier=uuid4().hex)
        other = await Buyer().fund()
        signed = [{"PAYMENT-SIGNATURE": await other.pay(url, TOPIC, repeats)} for _ in range(4)]
        retried = [(await http.post(url, json=TOPIC, headers=header)).status_code for header in signed]
        assert retried == [200, 200, 200, 429]
        async with asyncio.timeout(20):
            while (probe := await http.get(url)).status_code == 402:
                pass
    for refused, window in ((answers[3], 3600), (probe, 60)):
        plain(refused, 429, "too_many_requests")
        assert 1 <= int(refused.headers["Retry-After"]) <= window
    assert await buyer.settles() == 3


async def test_who_is_asking(surroundings: Path, shop: Shop, http: httpx.AsyncClient) -> None:
    """Behind a trusted proxy the right-most foreign address counts, IPv6 by its /64; elsewhere no header does."""

    async def statuses(url: str, *clients: str) -> list[int]:
        return [(await http.get(url, headers={"X-Forwarded-For": client})).status_code for client in clients]

    trusting = {"INSTANT_ADDRESS_RATE": "2/hour", "INSTANT_TRUSTED_PROXIES": '["127.0.0.0/8", "10.0.0.0/8"]'}
    with doors.door(surroundings, servers.free_port(), **trusting) as door:
        url = door.url + shop.path
        noisy = ["203.0.113.5", "198.51.100.9, 203.0.113.5", "203.0.113.5, 10.1.2.3"]
        assert await statuses(url, *noisy) == [402, 402, 429]
        assert await statuses(url, "198.51.100.9") == [402]
        assert await statuses(url, "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1") == [
            402,
            402,
            429,
            402,
        ]
    with doors.door(surroundings, servers.free_port(), INSTANT_ADDRESS_RATE="4/hour") as door:
        url = door.url + shop.path
        assert 429 in await statuses(url, *(f"203.0.113.{number}" for number in range(5)))


async def test_a_wallet_answers_only_for_itself(
    surroundings: Path, shop: Shop, buyer: Buyer, http: httpx.AsyncClient
) -> None:
    """Payments in a wallet's name that nobody proved count against the address that presents them."""
    rates = {"INSTANT_PAYER_RATE": "1/hour", "INSTANT_REFUSED_RATE": "3/hour"}
    with doors.door(surroundings, servers.free_port(), **rates) as door:
        url = door.url + shop.path
        own = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
        answers = []
        for length in (66, 65, 66, 66):
            document = json.loads(base64.b64decode(own["PAYMENT-SIGNATURE"]))
            document["payload"]["authorization"]["nonce"] = "0x" + os.urandom(32).hex()
            document["payload"]["signature"] = "0x" + (b"\x01" * length).hex()
            forged = base64.b64encode(json.dumps(document).encode()).decode()
            answers.append(await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": forged}))

        assert [answer.status_code for answer in answers] == [402, 402, 402, 429]
        assert (await http.post(url, json=TOPIC, headers=own)).status_code == 200
        # A signature proves who signed, and not who presents: what is refused is none of the wallet's payments.
        poor = Buyer()
        refused = [{"PAYMENT-SIGNATURE": await poor.pay(url, TOPIC)} for _ in range(4)]
        answers = [await http.post(url, json=TOPIC, headers=paid) for paid in refused]
        assert [answer.status_code for answer in answers] == [402, 402, 402, 429]


async def test_what_nobody_signed_is_nobodys_trouble(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient
) -> None:
    """A description that the facilitator's schema rejects goes no further than us; NaN and names twice are no JSON."""
    url = door + shop.path
    document = json.loads(base64.b64decode(await buyer.pay(url, TOPIC)))
    document["resource"]["description"] = "a" * 501
    for broken in (document | {"extensions": {"x": float("nan")}}, document | {"extensions": {"x": 1e999}}):
        header = base64.b64encode(json.dumps(broken).encode()).decode()
        plain(await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header}), 400, "payment_malformed")
    twice = json.dumps(document)[:-1] + ', "x402Version": 2}'
    header = base64.b64encode(twice.encode()).decode()
    plain(await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header}), 400, "payment_malformed")
    header = base64.b64encode(json.dumps(document).encode()).decode()

    assert (await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header})).status_code == 200


async def test_expired_quote(surroundings: Path, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """An expired quote does not keep its price: 402 with a fresh one."""
    with doors.door(surroundings, servers.free_port(), INSTANT_QUOTE_SECONDS="1") as door:
        url = door.url + shop.path
        header = await buyer.pay(url, TOPIC)
        expires = int(time.time()) + 2
        await asyncio.sleep(expires - time.time())
        answer = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header})
        plain(answer, 402, "quote_expired")
        assert await buyer.settles() == 0
        await offer_sells(answer, http, url, buyer)
