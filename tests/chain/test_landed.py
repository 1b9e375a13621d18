"""Our reading of a real node's blocks, states and logs."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from x402.schemas import PaymentPayload

from core.evm import node
from core.net import json_client
from core.net.json_client import Client
from core.payments import chain as reading
from core.payments.chain import Landed, NotUsed, UsedElsewhere
from tests import practice
from tests.chain.anvil import CHAIN_ID, Chain


@pytest.fixture
async def http() -> AsyncIterator[Client]:
    """An HTTP client with the payments' own timeouts."""
    async with json_client.client() as client:
        yield client


async def look(
    http: Client, chain: Chain, paid: PaymentPayload, amount: int = 2000, pay_to: str = ""
) -> Landed | NotUsed | UsedElsewhere:
    """The chain's state of a payment."""
    return await reading.landed(
        http,
        chain.network(),
        payer=paid.payload["authorization"]["from"].lower(),
        nonce=practice.nonce(paid),
        pay_to=(pay_to or paid.accepted.pay_to).lower(),
        amount_atomic=amount,
        since=datetime.fromtimestamp(chain.now(), UTC) - timedelta(minutes=1),
    )


async def test_the_node_says_which_chain_it_is_on(http: Client, chain: Chain) -> None:
    """The node's chain id is read as a number."""
    assert await node.chain_id(http, chain.network()) == CHAIN_ID


async def test_unused_until_it_has_landed(http: Client, chain: Chain) -> None:
    """Unused by the clock of the latest block; then landed, in whichever transaction carried it."""
    paid = chain.signed()

    assert await look(http, chain, paid) == NotUsed(datetime.fromtimestamp(chain.now(), UTC))
    transaction = chain.bring(paid)
    assert await look(http, chain, paid) == Landed(transaction)


async def test_a_cancelled_authorization_never_lands(http: Client, chain: Chain) -> None:
    """AuthorizationCanceled uses up the nonce without a transfer."""
    payer = practice.wallet()
    paid = chain.signed(payer)
    chain.cancel(payer, practice.nonce(paid))

    assert await look(http, chain, paid) == UsedElsewhere()


async def test_a_nonce_that_was_signed_twice(http: Client, chain: Chain) -> None:
    """The nonce is used, but for another recipient or another amount than ours."""
    payer = practice.wallet()
    paid = chain.signed(payer)
    chain.move(payer, practice.wallet().address, 2000, practice.nonce(paid))

    assert await look(http, chain, paid) == UsedElsewhere()
    other = chain.signed()
    chain.bring(other)
    assert await look(http, chain, other, amount=2001) == UsedElsewhere()


async def test_several_authorizations_in_one_transaction(http: Client, chain: Chain) -> None:
    """Each authorization is matched with its own transfer, never a neighbour's, in any order."""
    payer, seller, stranger = practice.wallet(), practice.wallet().address, practice.wallet().address
    ours = [chain.signed(payer, pay_to=seller) for _ in range(2)]
    theirs = [chain.signed(payer, pay_to=stranger) for _ in range(2)]
    transaction = chain.bring_together(theirs[0], *ours, theirs[1])

    assert [await look(http, chain, paid) for paid in ours] == [Landed(transaction)] * 2
    for paid in theirs:
        assert await look(http, chain, paid, pay_to=seller) == UsedElsewhere()
