"""What every refusal has in common, and payments that are changed before or after they are signed."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from x402.http.utils import (
    decode_payment_required_header,
    decode_payment_response_header,
    decode_payment_signature_header,
    encode_payment_signature_header,
)
from x402.schemas import PaymentRequired, SettleResponse

from core import db
from tests import practice, shops
from tests.shops import PRICE_ATOMIC, Buyer, Shop

TOPIC = {"topic": "the sea"}

# What would tell a stranger how the house is built.
FOREIGN = re.compile(r"Traceback|site-packages|pydantic|psycopg|SELECT|\.py\b|\b(core|api|x402|sandbox)\.[a-z_]+")

Payload = dict[str, Any]
Terms = Callable[[PaymentRequired], None]


def refusal_of(answer: httpx.Response) -> SettleResponse:
    """What the headers of both versions say of a refused payment, which is also the offer's `error`."""
    refusal = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    offer = decode_payment_required_header(answer.headers["PAYMENT-REQUIRED"])
    v1 = decode_payment_response_header(answer.headers["X-PAYMENT-RESPONSE"])
    assert (refusal.success, refusal.transaction, refusal.error_reason) == (False, "", offer.error)
    assert v1.error_reason == refusal.error_reason
    return refusal


def plain(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """A problem document with our code, and nothing in it that is not ours to say."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code
    assert problem["error"] == problem["detail"]
    assert problem["status"] == status
    assert answer.headers["Cache-Control"] in ("no-store", "private")
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
    required = await required_by(http, url)
    change(required)
    payload = practice.payment(buyer.wallet, required.accepts[0])
    payload.resource = required.resource
    header: str = encode_payment_signature_header(payload)
    assert decode_payment_signature_header(header) == payload
    return header


async def required_by(http: httpx.AsyncClient, url: str) -> PaymentRequired:
    return decode_payment_required_header((await http.get(url)).headers["PAYMENT-REQUIRED"])


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


def authorized(**changes: object) -> Callable[[Payload], Payload]:
    return patched(**{f"payload__authorization__{name}": value for name, value in changes.items()})
