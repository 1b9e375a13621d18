"""Every fault of a request or its payment header is a clear 4xx before any payment; the door goes on selling."""

import asyncio
import base64
import gzip
import json
import re
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from core import db
from tests.refusals import (
    TOPIC,
    Payload,
    authorized,
    codes,
    decoded,
    encoded,
    nothing_claimed,
    offer_sells,
    patched,
    plain,
    present,
    refusal_of,
)
from tests.shops import Buyer, Shop

BODIES: dict[str, tuple[bytes, str]] = {
    "wrong type": (b'{"topic": 5}', "topic"),
    "null": (b'{"topic": null}', "topic"),
    "nested": (b'{"topic": {"a": 1}}', "topic"),
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
    """Wrong inputs are 400 and name the field, with or without a payment; the payment stays valid."""
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    named = {}
    for case, (body, _) in BODIES.items():
        for headers in ({}, paid):
            answer = await http.post(url, content=body, headers=headers)
            problem = plain(answer, 400, "invalid_input")
            named[case] = "".join(problem["fields"])
            assert problem["error"] == problem["fields"][named[case]]
            # Without a payment, the offer says what fits and what it costs.
            assert ("PAYMENT-REQUIRED" in answer.headers, "accepts" in problem) == (not headers, not headers)
    assert named == {case: field for case, (_, field) in BODIES.items()}
    await nothing_claimed(pool, shop, buyer)
    assert (await http.post(url, json=TOPIC, headers=paid)).status_code == 200
    await offer_sells(await http.post(url, json={"topic": 5}), http, url, buyer)


async def test_paid_without_inputs(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """Without a body, with null or `{}`, an unpaid request gets the offer; a paid one is refused before payment."""
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    for content in (b"", b"null", b"{}"):
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
    """Unknown paths are 404, however oddly they are spelled."""
    for path in UNKNOWN:
        plain(await http.get(door + path.replace("{handle}", shop.account.handle)), 404, "not_found")


async def test_unknown_method(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """Another method is 405 and says which are allowed."""
    answer = await http.delete(door + shop.path)
    plain(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, POST"
    plain(alone := await http.get(f"{door}/executions/{UUID(int=0)}/rerun"), 405, "method_not_allowed")
    assert alone.headers["Allow"] == "POST"


OTHER_BODIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "compressed": (gzip.compress(b'{"topic": "the sea"}'), {"Content-Encoding": "gzip"}, 415),
    "UTF-16": ('{"topic": "the sea"}'.encode("utf-16"), {"Content-Type": "application/json; charset=utf-16"}, 415),
    "form": (b"topic=the+sea", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "broken, and called JSON": (b"topic=the+sea", {"Content-Type": "application/json"}, 400),
    # The standard library's parser is quadratic in these, and reads that number with a bound of its own.
    "of many parameters": (b"{", {"Content-Type": 'application/json; a="' + ";a" * 2000}, 415),
    "of a parameter with a long number": (b"{", {"Content-Type": f"application/json; charset*{'9' * 5000}=x"}, 415),
    "JSON, and called a form": (b'{"topic": "the sea"}', {"Content-Type": "application/x-www-form-urlencoded"}, 402),
    "a byte order mark": (b'\xef\xbb\xbf{"topic": "the sea"}', {"Content-Type": "application/json"}, 402),
}


async def test_other_bodies(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """What is not JSON and does not claim to be is 415; JSON is read under whatever name it comes."""
    said = {
        case: (await http.post(door + shop.path, content=body, headers=headers)).status_code
        for case, (body, headers, _) in OTHER_BODIES.items()
    }
    assert said == {case: status for case, (_, _, status) in OTHER_BODIES.items()}


async def test_huge_body(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """The client reads the 413 of a body of 10 MB, with or without a Content-Length."""
    url, header = door + shop.path, await buyer.pay(door + shop.path, TOPIC)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b"x" * 65_536

    for content in (b"x" * 10_485_760, chunks()):
        plain(await http.post(url, content=content, headers={"PAYMENT-SIGNATURE": header}), 413, "body_too_large")
    await nothing_claimed(pool, shop, buyer)


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
    "nonce too short": authorized(nonce="0x12"),
    "nonce no hex": authorized(nonce="0x" + "g" * 64),
    "nonce with a line feed": authorized(nonce="0x" + "1" * 64 + "\n"),
    "payer no address": authorized(**{"from": "0x0"}),
    "payee a number": authorized(to=5),
    "value negative": authorized(value="-1"),
    "value with underscore": authorized(value="10_000"),
    "value in other digits": authorized(value="１００００"),
    "value huge": authorized(value="9" * 79),
    "value a number": authorized(value=10_000),
    "value a float": authorized(value=1e4),
    "times huge": authorized(validBefore="9" * 79),
    "times negative": authorized(validAfter="-5"),
    "network with NUL": patched(accepted__network="eip155:402402\0"),
    "asset with NUL": patched(accepted__asset="0x\0"),
}


async def test_malformed_payment(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """A malformed payment is 400 with a fresh offer, which a stock client can pay."""
    url = door + shop.path
    good = await buyer.pay(url, TOPIC)
    headers = {case: encoded(bad(decoded(good))) if callable(bad) else bad for case, bad in MALFORMED.items()}
    answers = await present(http, url, headers)
    assert codes(answers) == dict.fromkeys(MALFORMED, (400, "payment_malformed"))
    assert {refusal_of(answer).error_reason for answer in answers.values()} == {"invalid_payload"}
    assert "`payload.authorization.value`" in answers["value a number"].json()["error"]
    assert "`accepted.network`" in answers["network with NUL"].json()["error"]
    await nothing_claimed(pool, shop, buyer)
    await offer_sells(answers["version 1"], http, url, buyer)


async def test_numbers_that_python_minds(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """Numbers that have no text form, or are not numbers, in an otherwise valid payment are never a 5xx."""
    url = door + shop.path
    payload = decoded(await Buyer().pay(url, TOPIC))
    payload["payload"]["more"] = payload["accepted"]["extra"]["more"] = "HERE"
    del payload["extensions"]  # with them, the longest numbers would not fit into a header
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
