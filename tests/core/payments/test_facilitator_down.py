"""A facilitator that is down, or has stopped serving our network."""

import asyncio
import logging

import pytest
from x402.schemas import ResourceInfo

from core.failures import Unavailable
from core.net.circuit_breaker import Breaker
from core.net.json_client import Client
from core.payments.facilitator import Facilitator, outgoing
from core.payments.verdicts import Accepted, Refused, Settled, Unknown
from core.settings import SANDBOX_NETWORK, Network
from tests import practice, shops
from tests.facilitators import HASH, SETTLED, VALID, somebody, supports

PAID = practice.payment(practice.wallet(), practice.requirements())


async def is_down(facilitator: Facilitator) -> bool:
    try:
        await facilitator.verify(PAID, PAID.accepted)
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
        assert await facilitator.verify(PAID, PAID.accepted) == Accepted()
        assert not await is_down(facilitator)


async def test_settle_is_never_held_back(http: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A claimed payment is settled, or unknown, even with an open breaker; a settlement closes it again."""
    async with somebody(verify=b"", settle=b"") as one:
        facilitator = Facilitator(practice.network(one.url), http)
        with caplog.at_level(logging.WARNING, "core.payments.facilitator"):
            for _ in range(7):
                assert await facilitator.settle(PAID, PAID.accepted) == Unknown("connection_lost")
            assert await is_down(facilitator)
            one.says |= {"settle": SETTLED, "verify": VALID}
            assert await facilitator.settle(PAID, PAID.accepted) == Settled(HASH)

        assert await facilitator.verify(PAID, PAID.accepted) == Accepted()
        assert (one.count("settle"), one.count("verify")) == (8, 1)
        assert [record.getMessage().rsplit(" ", 1)[1] for record in caplog.records] == ["down", "back"]


async def test_refusals_are_answers(http: Client) -> None:
    """Any number of refused buyers does not open the breaker."""
    refused = practice.reply(400, b'{"isValid": false, "invalidReason": "insufficient_funds"}')
    async with somebody(verify=refused) as one:
        facilitator = Facilitator(practice.network(one.url), http)
        for _ in range(20):
            await facilitator.verify(PAID, PAID.accepted)

        assert one.count("verify") == 20


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_rejected_payload_is_one_buyers_trouble(http: Client, status: int) -> None:
    """CDP rejects some payloads with an error and no verdict (x402-foundation/x402#2284): it is not down."""
    async with somebody(verify=practice.reply(status, b'{"errorType": "invalid_request"}')) as one:
        facilitator = Facilitator(practice.network(one.url), http)
        for _ in range(6):
            assert await facilitator.verify(PAID, PAID.accepted) == Refused("payload_rejected")
        one.says["verify"] = VALID

        assert await facilitator.verify(PAID, PAID.accepted) == Accepted()


@pytest.mark.parametrize("status", [301, 308, 401, 403, 404])
async def test_a_wrong_setup_is_the_operators_trouble(
    http: Client, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the status once; the breaker does not open, and the next good answer sells."""
    async with somebody(verify=practice.reply(status, b"{}")) as one:
        facilitator = Facilitator(practice.network(one.url), http)
        with caplog.at_level(logging.WARNING, "core.payments.facilitator"):
            for _ in range(6):
                with pytest.raises(Unavailable, match="facilitator_setup"):
                    await facilitator.verify(PAID, PAID.accepted)
            one.says["verify"] = VALID
            assert await facilitator.verify(PAID, PAID.accepted) == Accepted()

    first, last = [record.getMessage() for record in caplog.records]
    assert f"answers {status}" in first
    assert "again" in last


def test_only_what_was_signed_goes_out() -> None:
    """Whatever else a buyer writes, the facilitator reads the authorization, its signature and our own terms."""
    ours = practice.requirements()
    written = PAID.model_copy(
        update={
            "payload": PAID.payload | {"memo": "x"},
            "accepted": PAID.accepted.model_copy(update={"extra": {"evil": 1}}),
            "resource": ResourceInfo(url="http://door/@a/b", description="a" * 501),
            "extensions": {"unknown": {}},
        }
    )
    sent = outgoing(written, ours)

    assert sent.payload == PAID.payload
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
        assert await facilitator.verify(PAID, PAID.accepted) == Accepted()
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
            assert await facilitator.verify(PAID, PAID.accepted) == Accepted()
        else:
            with pytest.raises(Unavailable, match=r"^not_supported$"):
                await facilitator.verify(PAID, PAID.accepted)
            assert one.count("verify") == 0


async def test_the_practice_facilitator_says_what_it_supports(http: Client, network: Network) -> None:
    """The response parses as the SDK's own type."""
    (kind,) = (await Facilitator(network, http).get_supported()).kinds

    assert (kind.x402_version, kind.scheme, kind.network) == (2, "exact", SANDBOX_NETWORK)


@pytest.mark.parametrize("said", [b"", practice.reply(200, b"[]"), practice.reply(200, b'{"kinds": 5}'), VALID])
async def test_nonsense_about_what_is_supported_changes_nothing(http: Client, said: bytes) -> None:
    """An unreadable list proves nothing about verifying, so selling goes on."""
    async with somebody(supported=said) as one:
        facilitator = Facilitator(practice.network(one.url), http)

        with pytest.raises(Unavailable, match=r"^facilitator_down$"):
            await facilitator.get_supported()
        assert facilitator.is_serving()
