"""A facilitator that is down, or has stopped serving our network."""

import asyncio
import logging
import time

import pytest
from eth_utils.address import to_checksum_address
from x402.schemas import ResourceInfo

from core.failures import Misconfigured, Unavailable
from core.net.circuit_breaker import Breaker
from core.net.json_client import Client
from core.observability import metrics
from core.payments import facilitator_checks
from core.payments.facilitator import Facilitator
from core.payments.facilitator_payload import outgoing
from core.payments.verdicts import Accepted, Refused, Settled, Unknown
from core.settings import SANDBOX_NETWORK, Network
from tests import practice, shops
from tests.facilitators import HASH, SETTLED, VALID, somebody, supports

PAID = practice.payment(practice.wallet(), practice.requirements())
GOOD = supports((2, "exact", SANDBOX_NETWORK))


async def is_down(facilitator: Facilitator) -> bool:
    try:
        await facilitator.verify(PAID, PAID.accepted, is_proved=True)
    except Unavailable as refusal:
        return refusal.code == "facilitator_down"
    return False


async def test_while_it_is_down_nobody_asks_to_verify(http: Client) -> None:
    """After five failures in a row verifying is refused at once, and a single probe finds out when it works again."""
    clock = [0.0]
    async with somebody(verify=practice.reply(503, b"down")) as one:
        facilitator = Facilitator(practice.network(one.url), http, Breaker(clock=lambda: clock[0]))
        assert all([await is_down(facilitator) for _ in range(20)])
        assert one.count("verify") == 5

        clock[0] += 5
        assert [await is_down(facilitator), await is_down(facilitator)] == [True, True]
        assert one.count("verify") == 6

        one.says["verify"] = VALID
        clock[0] += 5
        assert await facilitator.verify(PAID, PAID.accepted, is_proved=True) == Accepted()
        assert not await is_down(facilitator)


async def test_settle_is_never_held_back(http: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A claimed payment is settled, or unknown, even with an open breaker; a settlement closes it again."""
    async with somebody(verify=b"", settle=b"", supported=GOOD) as one:
        facilitator = Facilitator(practice.network(one.url), http)
        with caplog.at_level(logging.WARNING, "core.payments.facilitator"):
            for _ in range(7):
                assert await facilitator.settle(PAID, PAID.accepted) == Unknown("connection_lost")
            assert await is_down(facilitator)
            one.says |= {"settle": SETTLED, "verify": VALID}
            assert await facilitator.settle(PAID, PAID.accepted) == Settled(HASH)

        assert await facilitator.verify(PAID, PAID.accepted, is_proved=True) == Accepted()
        assert (one.count("settle"), one.count("verify")) == (8, 1)
        assert [message.removeprefix("the facilitator of eip155:402402 ") for message in caplog.messages] == [
            "ends the connection without an answer; it is asked again",
            "is down",
            "is back",
        ]


async def test_refusals_are_answers(http: Client) -> None:
    """Any number of refused buyers does not open the breaker."""
    refused = practice.reply(400, b'{"isValid": false, "invalidReason": "insufficient_funds"}')
    async with somebody(verify=refused) as one:
        facilitator = Facilitator(practice.network(one.url), http)
        for _ in range(20):
            await facilitator.verify(PAID, PAID.accepted, is_proved=True)

        assert one.count("verify") == 20


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_rejected_payload_is_one_buyers_trouble(http: Client, status: int) -> None:
    """CDP rejects some payloads with an error and no verdict (x402-foundation/x402#2284): it is not down."""
    async with somebody(verify=practice.reply(status, b'{"errorType": "invalid_request"}')) as one:
        facilitator = Facilitator(practice.network(one.url), http)
        for _ in range(6):
            assert await facilitator.verify(PAID, PAID.accepted, is_proved=True) == Refused("payload_rejected")
        one.says["verify"] = VALID

        assert await facilitator.verify(PAID, PAID.accepted, is_proved=True) == Accepted()


def redirect(status: int, to: str) -> bytes:
    return practice.reply(status, b"{}", b"location: " + to.encode())


WWW = "https://www.x402.org/facilitator/verify?key=canary"
SETUP: list[tuple[bytes, str, str]] = [
    (redirect(308, WWW), "redirected", "answers 308, a redirect to www.x402.org, and payments follow none"),
    (redirect(302, "/elsewhere"), "redirected", "answers 302, a redirect to 127.0.0.1, and payments follow none"),
    (redirect(301, "http://[canary"), "redirected", "answers 301, a redirect to another address"),
    (redirect(301, "https://a<canary>/"), "redirected", "answers 301, a redirect to another address"),
    (practice.reply(401, b"{}"), "unauthorised", "answers 401: check facilitator_token, or cdp_key_id"),
    (practice.reply(403, b'{"isValid": false}'), "unauthorised", "answers 403: check facilitator_token"),
    (practice.reply(404, b"{}"), "missing", "answers 404: check the path of facilitator_url"),
    (practice.reply(410, b"{}"), "missing", "answers 410: check the path of facilitator_url"),
]
TROUBLE: list[tuple[bytes, str, str]] = [
    (practice.reply(429, b"{}"), "limited", "answers 429: we ask more often than it allows"),
    (practice.reply(503, b"{}"), "server_error", "answers 503: the trouble is its own"),
    (practice.reply(200, b"<html>canary"), "unreadable", "answers what is no answer of x402"),
    (b"", "connection_lost", "ends the connection without an answer"),
]


def counted(outcome: str) -> float:
    """Requests to verify that ended so."""
    labels = {"network": SANDBOX_NETWORK, "request": "verify", "outcome": outcome}
    return metrics.registry.get_sample_value("instant_facilitator_request_seconds_count", labels) or 0


@pytest.mark.parametrize(("said", "outcome", "words"), SETUP)
async def test_a_wrong_setup_is_the_operators_trouble(
    http: Client, said: bytes, outcome: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says once what to do; the breaker does not open, and the next good answer sells."""
    before = counted(outcome)
    async with somebody(verify=said, supported=GOOD) as one:
        facilitator = Facilitator(practice.network(one.url), http)
        with caplog.at_level(logging.WARNING, "core.payments.facilitator"):
            for _ in range(6):
                with pytest.raises(Unavailable, match="facilitator_setup"):
                    await facilitator.verify(PAID, PAID.accepted, is_proved=True)
            standing = facilitator.standing
            one.says["verify"] = VALID
            assert await facilitator.verify(PAID, PAID.accepted, is_proved=True) == Accepted()

    first, last = caplog.messages
    assert first.startswith(f"the facilitator of eip155:402402 {words}")
    assert "canary" not in first
    assert "again" in last
    assert (standing, facilitator.standing, counted(outcome) - before) == (outcome, "serving", 6)


@pytest.mark.parametrize(("said", "outcome", "words"), TROUBLE)
async def test_trouble_is_named_before_it_counts_as_down(
    http: Client, said: bytes, outcome: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The first failure is logged in words, the next only after a minute."""
    before = counted(outcome)
    async with somebody(verify=said, supported=GOOD) as one:
        facilitator = Facilitator(practice.network(one.url), http)
        with caplog.at_level(logging.WARNING, "core.payments.facilitator"):
            assert [await is_down(facilitator) for _ in range(3)] == [True] * 3

    (message,) = caplog.messages
    assert message.startswith(f"the facilitator of eip155:402402 {words}")
    assert (facilitator.standing, counted(outcome) - before) == (outcome, 3)


async def ask(http: Client, said: bytes | None, *, is_selling: bool = True) -> None:
    """The check at the start, of two facilitators of which the second says this."""
    async with somebody(supported=GOOD) as first, somebody(supported=said) as second:
        both = {str(place): Facilitator(practice.network(one.url), http) for place, one in enumerate((first, second))}
        await facilitator_checks.check_facilitators(both, is_selling=is_selling)


ELSEWHERE = supports((2, "exact", "eip155:8453"))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        *((said, words) for said, outcome, words in SETUP if outcome != "missing"),
        (ELSEWHERE, "does not list exact payments on eip155:402402"),
    ],
)
async def test_only_other_settings_help(
    http: Client, said: bytes, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A door does not start; who only finishes what was paid is warned."""
    sentence = f"INSTANT_NETWORKS[1].facilitator_url: /supported {words}"
    with pytest.raises(Misconfigured) as refused:
        await ask(http, said)
    assert str(refused.value).startswith(sentence)
    assert "canary" not in str(refused.value)

    await ask(http, said, is_selling=False)
    assert [message.startswith(sentence) for message in caplog.messages] == [True]


@pytest.mark.parametrize(
    ("said", "words"), [(None, "does not answer in time"), *((said, words) for said, _, words in TROUBLE + SETUP[-2:])]
)
async def test_what_may_mend_is_warned_of(
    http: Client, said: bytes | None, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Silence, a limit, an outage and a list that is not there prove nothing about verifying."""
    began = time.monotonic()
    await ask(http, said)

    assert time.monotonic() - began < 15  # the timeout of verify is 30 s
    (message,) = (one.getMessage() for one in caplog.records if one.name.startswith("core.payments"))
    assert message.startswith(f"INSTANT_NETWORKS[1].facilitator_url: /supported {words}")


def test_only_what_was_signed_goes_out() -> None:
    """Whatever else a buyer writes, the facilitator reads the authorization, its signature and our own terms."""
    ours = practice.requirements()
    signed = {name: value.lower() for name, value in PAID.payload["authorization"].items()}
    # No other spelling of the same values goes out either: viem throws at capitals that are no checksum, web3.py also
    # at an address without capitals.
    spelled = {name: "0x" + signed[name][2:].upper() for name in ("from", "to", "nonce")}
    spelled |= {name: signed[name].zfill(78) for name in ("value", "validAfter", "validBefore")}
    signature = PAID.payload["signature"]
    written = PAID.model_copy(
        update={
            "payload": {
                "signature": "0x" + signature[2:].upper(),
                "authorization": spelled | {"gas": "1"},
                "memo": "x",
            },
            "accepted": PAID.accepted.model_copy(update={"extra": {"evil": 1}}),
            "resource": ResourceInfo(url="http://door/@a/b", description="a" * 501),
            "extensions": {"unknown": {}},
        }
    )
    sent = outgoing(written, ours)

    addresses = {name: to_checksum_address(signed[name]) for name in ("from", "to")}
    assert sent.payload == {"signature": signature.lower(), "authorization": signed | addresses}
    assert sent.accepted == ours
    assert sent.resource == ResourceInfo(url="http://door/@a/b")
    assert sent.extensions is None


async def test_giving_up_counts_as_silence(http: Client) -> None:
    """The door stops waiting before our own timeout; the breaker counts that as a failure too."""
    async with somebody(verify=None) as one:
        facilitator = Facilitator(practice.network(one.url), http)
        waiting = [asyncio.create_task(is_down(facilitator)) for _ in range(5)]
        await shops.eventually(lambda: _done(one.count("verify") == 5))
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

        assert await is_down(facilitator)
        assert one.count("verify") == 5


async def _done(is_true: bool) -> bool:
    return is_true


async def test_what_is_supported_is_asked_once_and_nobody_waits(http: Client) -> None:
    """It is requested at the first use, in the background, and no call waits for it."""
    async with somebody(supported=None) as one:
        facilitator = Facilitator(practice.network(one.url), http)

        assert facilitator.is_serving()
        assert await facilitator.verify(PAID, PAID.accepted, is_proved=True) == Accepted()
        assert facilitator.is_serving()
        await shops.eventually(lambda: _done(one.count("supported") == 1))


@pytest.mark.parametrize(
    ("kinds", "serves"),
    [
        ([(2, "exact", SANDBOX_NETWORK)], True),
        ([(2, "exact", "eip155:*"), (1, "exact", "base")], True),
        ([(2, "exact", "eip155:8453")], False),
        ([(1, "exact", SANDBOX_NETWORK), (2, "upto", SANDBOX_NETWORK)], False),
        ([], False),
    ],
)
async def test_a_facilitator_that_left_our_network_is_not_asked(
    http: Client, kinds: list[tuple[int, str, str]], serves: bool
) -> None:
    """No offer names the network, and a payment on it is refused before any claim."""
    async with somebody(supported=supports(*kinds)) as one:
        facilitator = Facilitator(practice.network(one.url), http)
        facilitator.is_serving()
        await shops.eventually(lambda: _done(one.count("supported") == 1 and facilitator.is_serving() == serves))

        if serves:
            assert await facilitator.verify(PAID, PAID.accepted, is_proved=True) == Accepted()
        else:
            with pytest.raises(Unavailable, match=r"^not_supported$"):
                await facilitator.verify(PAID, PAID.accepted, is_proved=True)
            assert one.count("verify") == 0


async def test_the_practice_facilitator_says_what_it_supports(http: Client, network: Network) -> None:
    """It serves our network."""
    facilitator = Facilitator(network, http)

    assert (facilitator.standing, await facilitator.look(), facilitator.standing) == ("unknown", None, "serving")


@pytest.mark.parametrize("said", [b"", practice.reply(200, b"[]"), practice.reply(200, b'{"kinds": 5}'), VALID])
async def test_nonsense_about_what_is_supported_changes_nothing(http: Client, said: bytes) -> None:
    """An unreadable list proves nothing about verifying, so selling goes on."""
    async with somebody(supported=said) as one:
        facilitator = Facilitator(practice.network(one.url), http)

        trouble = await facilitator.look()
        assert trouble
        assert trouble.outcome == facilitator.standing == ("unreadable" if said else "connection_lost")
        assert facilitator.is_serving()


async def test_what_a_stranger_signed_is_no_evidence(http: Client) -> None:
    """A facilitator that fails on bytes that a stranger chose keeps serving everybody else."""
    async with somebody(verify=practice.reply(503, b"")) as one:
        facilitator = Facilitator(practice.network(one.url), http)
        for _ in range(20):
            with pytest.raises(Unavailable, match=r"^facilitator_down$"):
                await facilitator.verify(PAID, PAID.accepted, is_proved=False)
        assert one.count("verify") == 20

        for _ in range(20):
            with pytest.raises(Unavailable, match=r"^facilitator_down$"):
                await facilitator.verify(PAID, PAID.accepted, is_proved=True)
        assert one.count("verify") == 25
