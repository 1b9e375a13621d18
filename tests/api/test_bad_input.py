"""Whatever is wrong with a request is a clear 4xx before any money, and the door goes on selling."""

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from x402.http.utils import (
    decode_payment_required_header,
    decode_payment_signature_header,
    encode_payment_signature_header,
)
from x402.schemas import PaymentPayload, PaymentRequired

from core import db
from tests import doors, practice, servers, shops
from tests.selling import add_model
from tests.shops import PRICE_ATOMIC, Buyer, Shop

TOPIC = {"topic": "the sea"}
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

# What would tell a stranger how the house is built.
FOREIGN = re.compile(r"Traceback|site-packages|pydantic|psycopg|SELECT|\.py\b|\b(core|api|x402|sandbox)\.[a-z_]+")

Payload = dict[str, Any]
Terms = Callable[[PaymentRequired], None]


# --- the request

BODIES: dict[str, tuple[bytes, str]] = {
    "wrong type": (b'{"topic": 5}', "topic"),
    "null": (b'{"topic": null}', "topic"),
    "nested": (b'{"topic": {"a": 1}}', "topic"),
    "missing": (b"{}", "topic"),
    "empty": (b'{"topic": ""}', "topic"),
    "too long": (json.dumps({"topic": "x" * 20_001}).encode(), "topic"),
    "a NUL inside": (b'{"topic": "a\\u0000b"}', "topic"),
    "unknown parameter": (b'{"topic": "x", "\\u0000y": "y"}', "\0y"),
    "a user message where none is allowed": (b'{"topic": "x", "user_message": "y"}', "user_message"),
    "a list": (b"[]", "body"),
    "a string": (b'"topic"', "body"),
    "NaN": (b'{"topic": NaN}', "body"),
    "Infinity": (b'{"topic": -Infinity}', "body"),
    "no JSON": (b"topic=the+sea", "body"),
    "cut off": (b'{"topic": "the', "body"),
    "a lone surrogate": (b'{"topic": "\\ud800"}', "body"),
    "no UTF-8": (b'{"topic": "\xff\xfe"}', "body"),
    "nested deeply": (b"[" * 100_000, "body"),
    "a huge number": (b'{"topic": ' + b"9" * 10_000 + b"}", "body"),
}


async def test_wrong_inputs(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """Wrong inputs are 400 naming the field, without a payment and with one; the payment is still good afterwards."""
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    named = {}
    for case, (body, _) in BODIES.items():
        for headers in ({}, paid):
            problem = plain(await http.post(url, content=body, headers=headers), 400, "invalid_input")
            named[case] = "".join(problem["fields"])
            assert problem["error"] == problem["fields"][named[case]]
    assert named == {case: field for case, (_, field) in BODIES.items()}
    await nothing_claimed(pool, shop, buyer)
    assert (await http.post(url, json=TOPIC, headers=paid)).status_code == 200


async def test_paid_without_inputs(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """No body, or null, is an offer without a payment; with one it is no inputs, and refused before any money."""
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    for content in (b"", b"null"):
        assert (await http.post(url, content=content)).status_code == 402
        plain(await http.post(url, content=content, headers=paid), 400, "invalid_input")
    plain(await http.get(url, headers=paid), 400, "invalid_input")
    await nothing_claimed(pool, shop, buyer)


UNKNOWN = [
    *("/@nobody/haiku", "/@{handle}/nothing", "/@{handle}/HAIKU", "/@{handle}/haiku/x", "/@/haiku", "/@", "/nowhere"),
    *("/@%00/haiku", "/@{handle}/%00", "/@{handle}/%ff", "/@{handle}/haiku%0a", "/@{handle}/" + "x" * 5000),
    *("/executions/1", "/executions/00000000-0000-0000-0000-000000000000?token=%00"),
]


async def test_unknown_addresses(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """What is not there is 404, however oddly it was asked for."""
    for path in UNKNOWN:
        plain(await http.get(door + path.replace("{handle}", shop.account.handle)), 404, "not_found")


async def test_unknown_method(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """Another method is 405 and says which are allowed."""
    answer = await http.delete(door + shop.path)
    plain(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"]


async def test_huge_body(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """The client sees the 413 of a body of 10 MB, whether its length is announced or not."""
    url, header = door + shop.path, await buyer.pay(door + shop.path, TOPIC)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b"x" * 65_536

    for content in (b"x" * 10_485_760, chunks()):
        plain(await http.post(url, content=content, headers={"PAYMENT-SIGNATURE": header}), 413, "body_too_large")
    await nothing_claimed(pool, shop, buyer)


# --- the payment header


def patched(**changes: object) -> Callable[[Payload], Payload]:
    """The payload with members replaced; `a__b` is b inside a."""

    def patch(payload: Payload) -> Payload:
        for path, value in changes.items():
            *parents, name = path.split("__")
            inside = payload
            for parent in parents:
                inside = inside[parent]
            inside[name] = value
        return payload

    return patch


def encoded(document: object) -> str:
    text = document if isinstance(document, str) else json.dumps(document)
    return base64.b64encode(text.encode()).decode()


def decoded(header: str) -> Payload:
    payload: Payload = json.loads(base64.b64decode(header))
    return payload


def _authorized(**changes: object) -> Callable[[Payload], Payload]:
    return patched(**{f"payload__authorization__{name}": value for name, value in changes.items()})


MALFORMED: dict[str, str | bytes | Callable[[Payload], Payload]] = {
    "not base64": "{}",
    "not ASCII": b"\xff\xfe\xe2\x82",
    "base64 of garbage": base64.b64encode(bytes(range(256))).decode(),
    "no object": encoded([]),
    "null": encoded("null"),
    "no payment": encoded({"x402Version": 2}),
    "nested deeply": encoded("[" * 10_000),
    "lone surrogate": encoded('{"x402Version": 2, "payload": {}, "accepted": {"scheme": "\\ud800"}}'),
    "huge integer": encoded('{"x402Version": 2, "payload": {"a": %s}, "accepted": {}}' % ("9" * 5000)),
    "huge version": encoded('{"x402Version": %s}' % ("9" * 5000)),
    "no numbers": encoded('{"x402Version": 2, "payload": {"a": 1e999, "b": NaN}, "accepted": {}}'),
    "version 1": patched(x402Version=1),
    "version 3": patched(x402Version=3),
    "no authorization": patched(payload={"signature": "0x" + "11" * 65}),
    "no signature": patched(payload__signature=None),
    "signature no hex": patched(payload__signature="0xzz"),
    "signature of odd length": patched(payload__signature="0x123"),
    "nonce too short": _authorized(nonce="0x12"),
    "nonce no hex": _authorized(nonce="0x" + "g" * 64),
    "nonce with a line feed": _authorized(nonce="0x" + "1" * 64 + "\n"),
    "payer no address": _authorized(**{"from": "0x0"}),
    "payee a number": _authorized(to=5),
    "value negative": _authorized(value="-1"),
    "value with underscore": _authorized(value="10_000"),
    "value in other digits": _authorized(value="１００００"),
    "value huge": _authorized(value="9" * 78),
    "value a number": _authorized(value=10_000),
    "value a float": _authorized(value=1e4),
    "times huge": _authorized(validBefore="9" * 40),
    "times negative": _authorized(validAfter="-5"),
    "network with NUL": patched(accepted__network="eip155:402402\0"),
    "asset with NUL": patched(accepted__asset="0x\0"),
}


async def test_malformed_payment(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """What is no payment is 400 with a fresh offer, which a stock client can pay."""
    url = door + shop.path
    good = await buyer.pay(url, TOPIC)
    headers = {case: encoded(bad(decoded(good))) if callable(bad) else bad for case, bad in MALFORMED.items()}
    answers = await present(http, url, headers)
    assert codes(answers) == dict.fromkeys(MALFORMED, (400, "payment_malformed"))
    await nothing_claimed(pool, shop, buyer)
    await offer_sells(answers["version 1"], http, url, buyer)


async def test_numbers_that_python_minds(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """Numbers that cannot become text, or are none, in a payment that is otherwise good: never a 5xx."""
    url = door + shop.path
    payload = decoded(await Buyer().pay(url, TOPIC))
    payload["payload"]["more"] = payload["accepted"]["extra"]["more"] = "HERE"
    numbers = ("9" * 4200, "9" * 5000, "1e999", "NaN", "-Infinity")
    headers = {number[:9]: encoded(json.dumps(payload).replace('"HERE"', number)) for number in numbers}
    answers = await present(http, url, headers)
    assert {status for status, _ in codes(answers).values()} <= {400, 402}


async def test_long_payment_header(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """20 KB of payment header are 431; 200 KB are refused by the HTTP parser, with a 4xx and without a hang."""
    url = door + shop.path
    payload = decoded(await buyer.pay(url, TOPIC)) | {"extensions": {"more": "x" * 15_000}}
    answer = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": encoded(payload)})
    plain(answer, 431, "header_too_large")

    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"GET {parts.path} HTTP/1.1\r\nHost: x\r\nPAYMENT-SIGNATURE: {'x' * 200_000}\r\n\r\n"
    async with asyncio.timeout(10):
        writer.write(head.encode())
        status = await reader.readline()
    writer.close()
    assert re.match(rb"HTTP/1\.1 4\d\d", status)
    await nothing_claimed(pool, shop, buyer)


# --- the payment's terms


def offered(**changes: object) -> Terms:
    """Make the buyer sign other terms than ours."""

    def change(required: PaymentRequired) -> None:
        required.accepts[0] = required.accepts[0].model_copy(update=changes)

    return change


def elsewhere(required: PaymentRequired) -> None:
    assert required.resource
    required.resource.url += "-2"


def requoted(quote: str | int | None) -> Terms:
    def change(required: PaymentRequired) -> None:
        required.accepts[0].extra["quoteId"] = quote

    return change


def forged(required: PaymentRequired) -> None:
    quote = required.accepts[0].extra["quoteId"]
    required.accepts[0].extra["quoteId"] = quote[:9] + ("A" if quote[9] != "A" else "B") + quote[10:]


def by_another_wallet(payload: Payload) -> Payload:
    return _authorized(**{"from": practice.wallet().address})(payload)


def high_twin(payload: Payload) -> Payload:
    raw = bytes.fromhex(payload["payload"]["signature"][2:])
    twin = raw[:32] + (ORDER - int.from_bytes(raw[32:64])).to_bytes(32) + bytes([raw[64] ^ 7])
    return patched(payload__signature="0x" + twin.hex())(payload)


def zeroed(payload: Payload) -> Payload:
    return patched(payload__signature="0x" + "00" * 65)(payload)


SIGNED: dict[str, tuple[str, Terms]] = {
    "less": ("wrong_amount", offered(amount="9999")),
    "more": ("wrong_amount", offered(amount="10001")),
    "zero-padded": ("wrong_amount", offered(amount="010000")),
    "other payee": ("wrong_pay_to", offered(pay_to=practice.PAY_TO)),
    "other asset": ("wrong_asset", offered(asset=practice.PAY_TO)),
    "other network": ("wrong_network", offered(network="eip155:8453")),
    "other scheme": ("wrong_network", offered(scheme="upto")),
    "other resource": ("wrong_resource", elsewhere),
    "expired": ("expired", offered(max_timeout_seconds=1)),
    "valid for too long": ("valid_too_long", offered(max_timeout_seconds=3600)),
    "forged quote": ("quote_unknown", forged),
    "no quote of ours": ("quote_unknown", requoted("quote")),
    "quote a number": ("quote_unknown", requoted(7)),
}

ALTERED: dict[str, tuple[str, Callable[[Payload], Payload]]] = {
    "amount": ("wrong_amount", _authorized(value="1")),
    "accepted amount": ("wrong_amount", patched(accepted__amount="1")),
    "payee": ("wrong_pay_to", _authorized(to=practice.PAY_TO)),
    "nonce": ("wrong_signature", _authorized(nonce="0x" + "11" * 32)),
    "another wallet's signature": ("wrong_signature", by_another_wallet),
    "high twin": ("wrong_signature", high_twin),
    "zero signature": ("wrong_signature", zeroed),
    "signature of a contract wallet": (
        "invalid_exact_evm_payload_undeployed_smart_wallet",
        patched(payload__signature="0x" + "ab" * 100),
    ),
}


async def test_wrong_terms(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """A payment on other terms, or altered after it was signed, is 402 with a fresh offer; nothing is claimed."""
    url = door + shop.path
    headers = {f"signed: {case}": await sign(http, url, buyer, change) for case, (_, change) in SIGNED.items()}
    for case, (_, alter) in ALTERED.items():
        headers[f"altered: {case}"] = encoded(alter(decoded(await sign(http, url, buyer))))
    answers = await present(http, url, headers)
    assert codes(answers) == {
        **{f"signed: {case}": (402, code) for case, (code, _) in SIGNED.items()},
        **{f"altered: {case}": (402, code) for case, (code, _) in ALTERED.items()},
    }
    await nothing_claimed(pool, shop, buyer)
    await offer_sells(answers["signed: less"], http, url, buyer)


async def test_not_yet_valid(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """An authorization for later is refused."""
    url = door + shop.path
    required = decode_payment_required_header((await http.get(url)).headers["PAYMENT-REQUIRED"])
    early = encode_payment_signature_header(practice.early_payment(buyer.wallet, required.accepts[0]))
    answer = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": early})
    plain(answer, 402, "not_yet_valid")
    await nothing_claimed(pool, shop, buyer)
    await offer_sells(answer, http, url, buyer)


async def test_a_quote_of_another_resource(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A quote names its resource, even where the client does not."""
    await shop.publish(pool, slug="limerick")

    def unnamed(payload: PaymentPayload) -> None:
        payload.resource = None

    header = await buyer.pay(f"{door}/@{shop.account.handle}/limerick", TOPIC, unnamed)
    answer = await http.post(door + shop.path, json=TOPIC, headers={"PAYMENT-SIGNATURE": header})
    plain(answer, 402, "wrong_resource")
    await nothing_claimed(pool, shop, buyer)
    await offer_sells(answer, http, door + shop.path, buyer)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
places = st.sampled_from(
    ["x402Version", "payload", "accepted", "payload__signature", "payload__authorization"]
    + [f"payload__authorization__{n}" for n in ("from", "to", "value", "validAfter", "validBefore", "nonce")]
    + [f"accepted__{n}" for n in ("scheme", "network", "asset", "amount", "payTo", "extra__quoteId")]
)
# Spellings of what stands there already.
harmless = ("2", 2, "0")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_arbitrary_headers(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, data: st.DataObject
) -> None:
    """Any bytes, any JSON, and a good payment with anything in one place: refused, never a 5xx, never sold."""
    kind = data.draw(st.sampled_from(["bytes", "json", "almost"]))
    if kind == "bytes":
        header: bytes = data.draw(st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=300)).encode(
            "latin-1"
        )
        header = header.replace(b"\x7f", b"")
    elif kind == "json":
        header = encoded(data.draw(json_values)).encode()
    else:
        value = data.draw(json_values.filter(lambda value: value not in harmless))
        payload = practice.payment(buyer.wallet, (await _required(http, door + shop.path)).accepts[0])
        document = payload.model_dump(by_alias=True, exclude_none=True)
        header = encoded(patched(**{data.draw(places): value})(document)).encode()
    answer = await http.post(door + shop.path, json=TOPIC, headers={"PAYMENT-SIGNATURE": header})
    assert answer.status_code in (400, 402)
    plain(answer, answer.status_code, answer.json()["code"])


# --- what cannot be sold


async def sells_nothing(http: httpx.AsyncClient, url: str, header: str) -> None:
    """Probe and payment are told the same: one sentence, no reason, no offer."""
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
    "model withdrawn": ("models", "disabled", "true", "false"),
}
OWNED = {
    "accounts": "id = %(id)s",
    "models": "id = 'test/' || %(id)s::text",
    "provider_keys": "account_id = %(id)s",
    "payout_addresses": "account_id = %(id)s",
}


async def test_not_sellable(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """What cannot run now is not sold: 503 without a reason, nothing claimed; once mended the offer is back."""
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
    """A creator's queue is full: 503 for the next buyer, until there is room; the refused payment is still good."""
    url = door + shop.path
    first, second = await buyer.pay(url, TOPIC), await (late := await Buyer().fund()).pay(url, TOPIC)
    await shop.openrouter(latency_seconds=1)
    await shops.rows(pool, "UPDATE accounts SET queue_limit = 1 WHERE id = %(id)s RETURNING id", id=shop.account.id)
    await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": first, "Prefer": "respond-async"})
    await sells_nothing(http, url, second)
    assert await late.settles() == 0
    await shops.at_rest(pool, shop)
    assert (await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": second})).status_code == 200


async def test_rates(surroundings: Path, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """Too many payments of one wallet, or requests of one address, are 429 and say when to come back."""
    rates = {"INSTANT_PAYER_RATE": "3/minute", "INSTANT_ADDRESS_RATE": "30/minute"}
    with doors.door(surroundings, servers.free_port(), **rates) as door:
        url = door.url + shop.path
        headers = [{"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)} for _ in range(4)]
        answers = [await http.post(url, json=TOPIC, headers=header) for header in headers]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        again = await http.post(url, json=TOPIC, headers=headers[0])
        assert again.json() == answers[0].json(), "fetching what was paid for is no payment"
        other = {"PAYMENT-SIGNATURE": await (await Buyer().fund()).pay(url, TOPIC)}
        assert (await http.post(url, json=TOPIC, headers=other)).status_code == 200
        async with asyncio.timeout(20):
            while (probe := await http.get(url)).status_code == 402:
                pass
    for refused in (answers[3], probe):
        plain(refused, 429, "too_many_requests")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert await buyer.settles() == 3


async def test_expired_quote(surroundings: Path, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """A quote that has run out keeps no price: 402 with a fresh one."""
    with doors.door(surroundings, servers.free_port(), INSTANT_QUOTE_SECONDS="1") as door:
        url = door.url + shop.path
        header = await buyer.pay(url, TOPIC)
        expires = int(time.time()) + 2
        await asyncio.sleep(expires - time.time())
        answer = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header})
        plain(answer, 402, "quote_expired")
        assert await buyer.settles() == 0
        await offer_sells(answer, http, url, buyer)


# --- what all of them check


def plain(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """A problem document with our code, and nothing in it that is not ours to say."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code
    assert problem["error"] == problem["detail"]
    assert problem["status"] == status
    said = problem["error"] + json.dumps({name: value for name, value in problem.items() if name != "fields"})
    assert not FOREIGN.search(said), said
    return problem


async def nothing_claimed(pool: db.Pool, shop: Shop, buyer: Buyer) -> None:
    """No payment, no execution, and the facilitator was never asked to settle."""
    payer = buyer.wallet.address.lower()
    assert await shops.rows(pool, "SELECT id FROM payments WHERE payer = %(payer)s", payer=payer) == []
    assert await shops.executions(pool, shop) == []
    assert await buyer.settles() == 0
    assert await shop.received() == []


async def offer_sells(answer: httpx.Response, http: httpx.AsyncClient, url: str, buyer: Buyer) -> None:
    """The offer that came with a refusal can be paid as it is."""
    required = decode_payment_required_header(answer.headers["PAYMENT-REQUIRED"])
    header = encode_payment_signature_header(await buyer.sdk().create_payment_payload(required))
    paid = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header, "Prefer": "wait=20"})
    assert paid.status_code == 200, paid.text


async def present(http: httpx.AsyncClient, url: str, headers: Mapping[str, str | bytes]) -> dict[str, httpx.Response]:
    """Every one of these payment headers, by its name; each refusal is plain and carries an offer at our price."""
    answers = {}
    for case, header in headers.items():
        answer = answers[case] = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header})
        plain(answer, answer.status_code, answer.json().get("code"))
        offer = decode_payment_required_header(answer.headers["PAYMENT-REQUIRED"])
        assert [terms.amount for terms in offer.accepts] == [str(PRICE_ATOMIC)]
    return answers


def codes(answers: Mapping[str, httpx.Response]) -> dict[str, tuple[int, str]]:
    """Status and code of each answer."""
    return {case: (answer.status_code, answer.json()["code"]) for case, answer in answers.items()}


async def sign(http: httpx.AsyncClient, url: str, buyer: Buyer, change: Terms = lambda _required: None) -> str:
    """A header for terms that were changed before they were signed."""
    required = await _required(http, url)
    change(required)
    payload = practice.payment(buyer.wallet, required.accepts[0])
    payload.resource = required.resource
    header: str = encode_payment_signature_header(payload)
    assert decode_payment_signature_header(header) == payload
    return header


async def _required(http: httpx.AsyncClient, url: str) -> PaymentRequired:
    return decode_payment_required_header((await http.get(url)).headers["PAYMENT-REQUIRED"])
