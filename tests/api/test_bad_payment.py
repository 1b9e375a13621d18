"""A payment on other terms than ours is refused before any money, with an offer that can be paid."""

import asyncio
from collections.abc import Callable

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from x402.http.utils import (
    decode_payment_required_header,
    encode_payment_signature_header,
)
from x402.mechanisms.evm.constants import ERR_INVALID_SIGNATURE, ERR_UNDEPLOYED_SMART_WALLET
from x402.schemas import PaymentPayload, PaymentRequired

from core import db
from core.payments.reasons import SPECIFIED
from tests import practice
from tests.refusals import (
    TOPIC,
    Payload,
    Terms,
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
    required_by,
    sign,
)
from tests.shops import Buyer, Shop

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


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
    return authorized(**{"from": practice.wallet().address})(payload)


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
    "other scheme": ("wrong_scheme", offered(scheme="upto")),
    "other resource": ("wrong_resource", elsewhere),
    "expired": ("expired", offered(max_timeout_seconds=1)),
    "valid for too long": ("valid_too_long", offered(max_timeout_seconds=3600)),
    "times in milliseconds": ("valid_too_long", offered(max_timeout_seconds=1_700_000_000_000)),
    "forged quote": ("quote_unknown", forged),
    "no quote of ours": ("quote_unknown", requoted("quote")),
    "quote a number": ("quote_unknown", requoted(7)),
}

ALTERED: dict[str, tuple[str, Callable[[Payload], Payload]]] = {
    "amount": ("wrong_amount", authorized(value="1")),
    "the largest amount": ("wrong_amount", authorized(value=str(2**256 - 1))),
    "the latest time": ("valid_too_long", authorized(validBefore=str(2**256 - 1))),
    "accepted amount": ("wrong_amount", patched(accepted__amount="1")),
    "network by its name in v1": ("wrong_network", patched(accepted__network="base")),
    "payee": ("wrong_pay_to", authorized(to=practice.PAY_TO)),
    "nonce": (ERR_INVALID_SIGNATURE, authorized(nonce="0x" + "11" * 32)),
    "another wallet's signature": (ERR_INVALID_SIGNATURE, by_another_wallet),
    "high twin": (ERR_INVALID_SIGNATURE, high_twin),
    "zero signature": (ERR_INVALID_SIGNATURE, zeroed),
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
    refusals = {case: refusal_of(answer) for case, answer in answers.items()}
    assert {refusal.error_reason for refusal in refusals.values()} <= SPECIFIED | {ERR_UNDEPLOYED_SMART_WALLET}
    assert refusals["signed: less"].error_reason == "invalid_exact_evm_payload_authorization_value"
    assert refusals["signed: less"].payer == buyer.wallet.address.lower()
    assert refusals["signed: other network"].network == "eip155:8453"
    await nothing_claimed(pool, shop, buyer)
    await offer_sells(answers["signed: less"], http, url, buyer)


async def test_a_poor_wallet_is_told_in_the_protocols_words(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """A stock client reads the reason in the headers, and a person the sentence."""
    url, poor = door + shop.path, Buyer()
    answer = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": await poor.pay(url, TOPIC)})

    assert "fund it" in plain(answer, 402, "invalid_exact_evm_insufficient_balance")["error"]
    refusal = refusal_of(answer)
    assert (refusal.error_reason, refusal.payer) == ("insufficient_funds", poor.wallet.address.lower())


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


async def test_who_cannot_be_stored_stands_alone(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """Payments with members that no JSON writer takes are 400; those presented at the same moment are answered."""
    url = door + shop.path
    deep: object = []
    for _ in range(300):
        deep = [deep]
    bad = [{"memo": "\ud800"}, {"\ud800": "memo"}, {"memo": deep}] * 2
    buyers = await asyncio.gather(*(Buyer().fund() for _ in range(2 * len(bad))))
    headers = list(await asyncio.gather(*(sign(http, url, buyer) for buyer in buyers)))
    for place, members in enumerate(bad):
        document = decoded(headers[2 * place])
        document["payload"] |= members
        headers[2 * place] = encoded(document)
    answers = await asyncio.gather(
        *(http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": header, "Prefer": "wait=20"}) for header in headers)
    )

    assert [answer.status_code for answer in answers] == [400, 200] * len(bad)
    for answer in answers[::2]:
        plain(answer, 400, "payment_malformed")


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
# Other spellings of the value that is there already.
harmless = ("2", 2, "0")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_arbitrary_headers(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, data: st.DataObject
) -> None:
    """Any bytes, any JSON, and a valid payment with any one member replaced: refused, never a 5xx, never sold."""
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
        payload = practice.payment(buyer.wallet, (await required_by(http, door + shop.path)).accepts[0])
        document = payload.model_dump(by_alias=True, exclude_none=True)
        # A null quote counts as none, and one may pay today's price without a quote.
        place = data.draw(places.filter(lambda place: value is not None or not place.endswith("quoteId")))
        header = encoded(patched(**{place: value})(document)).encode()
    answer = await http.post(door + shop.path, json=TOPIC, headers={"PAYMENT-SIGNATURE": header})
    assert answer.status_code in (400, 402)
    plain(answer, answer.status_code, answer.json()["code"])
