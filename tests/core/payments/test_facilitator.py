"""The facilitator client concludes exactly what an answer proves."""

import asyncio
import gzip
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from x402.schemas import PaymentPayload

from core.failures import Unavailable
from core.net.json_client import Client, JsonResponse
from core.payments.facilitator import Facilitator
from core.payments.verdicts import (
    REFUSAL_REASONS,
    UNCERTAIN_REASONS,
    Accepted,
    Refused,
    Settled,
    Settlement,
    Unknown,
    settlement,
)
from core.settings import SANDBOX_NETWORK, Network
from tests import practice

HASH = "0x" + "aB" * 32
PAYER = "0x" + "a1" * 20


async def told(http: Client, said: bytes | None) -> Settlement:
    """The settlement outcome for these response bytes."""
    async with practice.scripted(lambda _: said) as url:
        paid = practice.payment(practice.wallet(), practice.requirements())
        return await Facilitator(practice.network(url), http).settle(paid, paid.accepted)


async def test_a_good_payment_is_accepted_and_settled(http: Client, network: Network) -> None:
    """The transaction is the one on the practice facilitator's book."""
    paid = await practice.funded(network)
    facilitator = Facilitator(network, http)

    assert await facilitator.verify(paid, paid.accepted, is_proved=True) == Accepted()
    outcome = await facilitator.settle(paid, paid.accepted)
    assert [outcome] == [Settled(transaction) for transaction in await practice.booked(network, paid)]


async def test_a_payment_without_money_is_refused_at_both_doors(http: Client, network: Network) -> None:
    """Verify and settle both refuse it, with the facilitator's reason."""
    paid = practice.payment(practice.wallet(), practice.requirements())
    facilitator = Facilitator(network, http)
    expected = Refused("invalid_exact_evm_insufficient_balance")

    assert await facilitator.verify(paid, paid.accepted, is_proved=True) == expected
    assert await facilitator.settle(paid, paid.accepted) == expected


async def test_a_malformed_payment_is_refused_at_both_doors(http: Client, network: Network) -> None:
    """Both refuse it, although the status is 400; even what JSON cannot encode raises nothing on our side."""
    strange = {"authorization": {"nonce": "\ud800", "value": "1e3"}, "signature": ""}
    paid = PaymentPayload(payload=strange, accepted=practice.requirements())
    facilitator = Facilitator(network, http)

    assert await facilitator.verify(paid, paid.accepted, is_proved=True) == Refused("invalid_payload")
    assert await facilitator.settle(paid, paid.accepted) == Refused("invalid_payload")


@pytest.mark.parametrize(("end", "sent"), [("00", "1b"), ("01", "1c"), ("1C", "1c")])
async def test_a_signature_ends_as_tokens_want_it(http: Client, end: str, sent: str) -> None:
    """ecrecover takes 27 and 28, and wallets also write 0 and 1."""
    told: list[bytes] = []

    def hang_up(body: bytes) -> bytes:
        told.append(body)
        return b""

    paid = practice.payment(practice.wallet(), practice.requirements())
    paid.payload["signature"] = paid.payload["signature"][:-2] + end
    async with practice.scripted(hang_up) as url:
        await Facilitator(practice.network(url), http).settle(paid, paid.accepted)

    assert json.loads(told[0])["paymentPayload"]["payload"]["signature"][-2:] == sent


async def test_what_nobody_signed_is_no_word_about_the_facilitator(http: Client) -> None:
    """An answer about a payment that is not proved changes neither what readiness says nor the breaker."""
    paid = practice.payment(practice.wallet(), practice.requirements())
    async with practice.scripted(lambda _: b"") as url:
        facilitator = Facilitator(practice.network(url), http)
        for is_proved, standing in ((False, "unknown"), (True, "connection_lost")):
            with pytest.raises(Unavailable):
                await facilitator.verify(paid, paid.accepted, is_proved=is_proved)
            assert facilitator.standing == standing


DOUBTFUL = [
    ("lose_reply", "connection_lost", 1),
    ("pending", "settlement_pending", 1),
    ("pending_never", "settlement_pending", 0),
    ("down", "server_error", 0),
    ("front_run", "transaction_failed", 1),
    ("cancelled", "invalid_exact_evm_nonce_already_used", 0),
    ("refuse:invalid_exact_evm_nonce_already_used", "invalid_exact_evm_nonce_already_used", 0),
    ("refuse:transaction_failed", "transaction_failed", 0),
    ("refuse:unexpected_settle_error", "unexpected_settle_error", 0),
    ("refuse:something_new", "unrecognised", 0),
]


@pytest.mark.parametrize(("fault", "reason", "moved"), DOUBTFUL)
async def test_a_doubtful_settlement_is_unknown(
    http: Client, network: Network, fault: str, reason: str, moved: int
) -> None:
    """Whether or not the transfer was made, the buyer is never told that it was not."""
    paid = await practice.funded(network, fault)

    assert await Facilitator(network, http).settle(paid, paid.accepted) == Unknown(reason)
    assert len(await practice.booked(network, paid)) == moved


async def test_a_late_answer_is_unknown(http: Client, network: Network, impatient: None) -> None:
    """The transfer was made, and the timeout came before the answer."""
    paid = await practice.funded(network, "slow:1.5")

    assert await Facilitator(network, http).settle(paid, paid.accepted) == Unknown("timed_out")
    assert len(await practice.booked(network, paid)) == 1


async def test_one_payload_settled_twenty_times_at_once_is_settled_once(http: Client, network: Network) -> None:
    """The other nineteen are unknown, and none is refused."""
    paid = await practice.funded(network)
    facilitator = Facilitator(network, http)
    outcomes = await asyncio.gather(*(facilitator.settle(paid, paid.accepted) for _ in range(20)))

    assert len(await practice.booked(network, paid)) == 1
    assert [type(outcome) for outcome in outcomes].count(Settled) == 1
    assert outcomes.count(Unknown("invalid_exact_evm_nonce_already_used")) == 19


async def test_a_facilitator_that_gives_no_verdict_is_down(http: Client, network: Network) -> None:
    """A 503, a timeout and nonsense give no verdict; the exception holds none of their text."""
    paid = await practice.funded(network, "verify_down")
    with pytest.raises(Unavailable, match=r"^facilitator_down$") as raised:
        await Facilitator(network, http).verify(paid, paid.accepted, is_proved=True)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)
    no_verdict = [
        b"",
        practice.reply(200, b"{}"),
        practice.reply(200, b"[]"),
        practice.reply(200, b'{"isValid": 1}'),
        practice.reply(500, b'{"isValid": true}'),
        practice.reply(503, b'{"isValid": false, "invalidReason": "invalid_payload"}'),
    ]
    for said in no_verdict:
        async with practice.scripted(lambda _, said=said: said) as url:
            with pytest.raises(Unavailable, match=r"^facilitator_down$"):
                await Facilitator(practice.network(url), http).verify(paid, paid.accepted, is_proved=True)


async def test_foreign_text_goes_no_further(http: Client) -> None:
    """An unknown reason is replaced by one fixed word."""
    said = practice.reply(200, json.dumps({"isValid": False, "invalidReason": "call +1 555 0100"}).encode())
    async with practice.scripted(lambda _: said) as url:
        paid = practice.payment(practice.wallet(), practice.requirements())

        assert await Facilitator(practice.network(url), http).verify(paid, paid.accepted, is_proved=True) == Refused(
            "unrecognised"
        )


async def test_nobody_listening_means_not_sent(http: Client) -> None:
    """The outcome is unknown, but the reason says that no byte was sent."""
    async with practice.scripted(lambda _: b"") as url:
        pass
    paid = practice.payment(practice.wallet(), practice.requirements())

    assert await Facilitator(practice.network(url), http).settle(paid, paid.accepted) == Unknown("not_sent")


async def test_a_redirect_is_not_followed(http: Client, network: Network) -> None:
    """Otherwise a server in the facilitator's place could send the authorization to another host."""
    asked: list[bytes] = []
    async with practice.scripted(lambda body: asked.append(body)) as elsewhere:
        said = practice.reply(307, b"", b"location: " + elsewhere.encode())

        assert await told(http, said) == Unknown("redirected")
    assert asked == []


async def test_an_answer_without_end_is_unreadable(http: Client) -> None:
    """Neither a long body nor a short one that decompresses to a long one fills our memory."""
    packed = gzip.compress(b" " * 5_000_000)

    assert await told(http, practice.reply(200, b" " * 2_000_000)) == Unknown("unreadable")
    assert await told(http, practice.reply(200, packed, b"content-encoding: gzip")) == Unknown("unreadable")
    assert await told(http, practice.reply(200, b"x", b"content-encoding: gzip")) == Unknown("unreadable")
    assert await told(http, practice.reply(200, b"[" * 100_000)) == Unknown("unreadable")


async def test_silence_ends_in_time(http: Client, impatient: None) -> None:
    """A request without an answer is given up at the timeout."""
    began = time.monotonic()

    assert await told(http, None) == Unknown("timed_out")
    assert time.monotonic() - began < 2


async def test_a_success_must_name_its_transaction_and_our_network(http: Client) -> None:
    """Anything less is left for the chain to decide."""
    good = {"success": True, "transaction": HASH, "network": SANDBOX_NETWORK}
    contradictions = [
        {"transaction": ""},
        {"transaction": HASH[:-1]},
        {"transaction": HASH + "\n"},
        {"transaction": 5},
        {"network": "eip155:8453"},
        {"network": None},
    ]

    assert await told(http, practice.reply(200, json.dumps(good).encode())) == Settled(HASH.lower())
    for change in contradictions:
        said = practice.reply(200, json.dumps(good | change).encode())
        assert await told(http, said) == Unknown("contradictory"), change
    for success in (1, "true", None):
        said = practice.reply(200, json.dumps(good | {"success": success}).encode())
        assert await told(http, said) == Unknown("unrecognised"), success
    assert await told(http, practice.reply(202, json.dumps(good).encode())) == Unknown("unrecognised")


async def test_an_answer_about_another_payment_proves_nothing(http: Client) -> None:
    """Success for another payer, payee, amount or asset is unknown; the same in another case, or empty, is ours."""
    payer = practice.wallet()
    asked = practice.requirements()
    paid = practice.payment(payer, asked)
    good = {"success": True, "transaction": HASH, "network": SANDBOX_NETWORK}
    ours = {"payer": payer.address, "amount": asked.amount, "asset": asked.asset, "payTo": asked.pay_to}

    async def settled(**members: object) -> Settlement:
        said = practice.reply(200, json.dumps(good | members).encode())
        async with practice.scripted(lambda _: said) as url:
            return await Facilitator(practice.network(url), http).settle(paid, paid.accepted)

    accepted: list[dict[str, object]] = [
        {**ours},
        {name: value.lower() for name, value in ours.items()},
        {"payer": "", "amount": None},
        {"amount": int(asked.amount)},
    ]
    for members in accepted:
        assert await settled(**members) == Settled(HASH.lower()), members
    other = "0x" + "c3" * 20
    for name, value in {"payer": other, "payTo": other, "asset": other, "amount": "1"}.items():
        assert await settled(**ours | {name: value}) == Unknown("answer_differs"), name
    for amount in (1, 2000.5, True, [asked.amount], {}):
        assert await settled(amount=amount) == Unknown("answer_differs"), amount


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
near_misses = st.fixed_dictionaries(
    {
        "success": st.sampled_from([True, False, True, False, None, 1, 0, "true", "false"]),
        "transaction": st.sampled_from(["", HASH, None, HASH[:-1], HASH.upper(), "0x"]) | st.text(max_size=5),
        "network": st.sampled_from([SANDBOX_NETWORK, SANDBOX_NETWORK, "eip155:8453", "", None]),
        "payer": st.sampled_from([PAYER, PAYER.upper(), "0x" + "c3" * 20, None]),
        "amount": st.sampled_from(["2000", 2000, "2001", "", None]),
        "errorReason": st.sampled_from(sorted(REFUSAL_REASONS | UNCERTAIN_REASONS)) | json_values,
    }
).flatmap(
    lambda body: st.sets(st.sampled_from(sorted(body))).map(lambda gone: {k: body[k] for k in body.keys() - gone})
)
statuses = st.sampled_from([200, 200, 200, 202, 400, 402, 412, 422, 500, 503]) | st.integers(200, 599)
WORDS = REFUSAL_REASONS | UNCERTAIN_REASONS | {
    "not_sent", "connection_lost", "timed_out", "unreadable", "redirected", "server_error", "contradictory",
    "answer_differs", "unrecognised",
}  # fmt: skip


def check(status: int, body: Any, outcome: Settlement) -> None:
    """Check an outcome against the rules, written independently."""
    said: dict[str, Any] = body if isinstance(body, dict) else {}
    match outcome:
        case Settled(transaction):
            assert status == 200
            assert said["success"] is True
            assert said["network"] == SANDBOX_NETWORK
            assert str(said.get("payer") or PAYER).lower() == PAYER
            assert str(said.get("amount") or "2000") == "2000"
            assert re.fullmatch("0x[0-9a-f]{64}", transaction)
            assert transaction == said["transaction"].lower()
        case Refused(reason):
            assert status in (200, 400, 402, 412, 422)
            assert said["success"] is False
            assert not said.get("transaction")
            assert reason == said["errorReason"]
            assert "nonce" not in reason
            assert not reason.startswith(("unexpected", "transaction", "settlement"))
        case Unknown(reason):
            assert reason in WORDS


@hypothesis_settings(max_examples=400, deadline=None)
@given(status=statuses, body=near_misses)
def test_what_an_answer_proves(status: int, body: dict[str, object]) -> None:
    """For almost valid answers of every kind: no refusal and no success without all its conditions."""
    check(status, body, settlement(JsonResponse(status, body), practice.requirements(), PAYER))


@hypothesis_settings(max_examples=120, deadline=None)
@given(
    status=statuses,
    body=near_misses | json_values | st.binary(max_size=60),
    headers=st.lists(
        st.sampled_from(
            [
                b"location: http://[",
                b"location: //\xff",
                b"location: data:x",
                b"content-encoding: br, gzip",
                b"set-cookie: a=b; expires=never",
                b"content-type: text/html; charset=nonsense",
                b"retry-after: 1",
            ]
        ),
        max_size=2,
        unique=True,
    ),
)
async def test_any_answer_has_an_outcome(http: Client, status: int, body: object, headers: list[bytes]) -> None:
    """Any status, headers, JSON or bytes over a real connection give an outcome, and never an exception."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    check(status, body, await told(http, practice.reply(status, content, *headers)))


@hypothesis_settings(max_examples=40, deadline=None)
@given(said=st.binary(max_size=80) | st.binary(max_size=20).map(lambda tail: b"HTTP/1.1 " + tail))
async def test_what_is_not_even_http_is_unknown(http: Client, said: bytes) -> None:
    """The bytes on the connection were no HTTP response."""
    assert isinstance(await told(http, said), Unknown)
