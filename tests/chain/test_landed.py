"""Our reading of a real node's blocks, states and logs."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from x402.schemas import PaymentPayload

from core.evm import checks, node
from core.failures import Unavailable
from core.net import json_client
from core.net.json_client import Client
from core.payments import chain as reading
from core.payments.chain import Landed, NotUsed, UsedElsewhere
from core.settings import Network
from tests import practice
from tests.chain import anvil
from tests.chain.anvil import CHAIN_ID, Chain
from tests.chain.gate import few_blocks, gate


@pytest.fixture
async def http() -> AsyncIterator[Client]:
    """An HTTP client with the payments' own timeouts."""
    async with json_client.client() as client:
        yield client


@pytest.fixture(scope="module")
def long_chain(node_binary: Path) -> Iterator[tuple[Chain, PaymentPayload, str]]:
    """A chain of its own with a payment and its transaction, and 1,500 blocks after it."""
    with anvil.chain(node_binary) as chain:
        paid = chain.signed()
        transaction = chain.bring(paid)
        chain.ask("anvil_mine", 1500)
        yield chain, paid, transaction


async def look(
    http: Client,
    chain: Chain,
    paid: PaymentPayload,
    amount: int = 2000,
    pay_to: str = "",
    network: Network | None = None,
    minutes: int = 1,
) -> Landed | NotUsed | UsedElsewhere:
    """The chain's state of a payment, which was unused so many minutes ago."""
    return await reading.landed(
        http,
        network or chain.network(),
        payer=paid.payload["authorization"]["from"].lower(),
        nonce=practice.nonce(paid),
        pay_to=(pay_to or paid.accepted.pay_to).lower(),
        amount_atomic=amount,
        since=datetime.fromtimestamp(chain.now(), UTC) - timedelta(minutes=minutes),
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


@pytest.mark.parametrize(
    ("most", "warning"), [(2000, []), (500, ["of more than some 64 blocks"]), (10, ["of more than some 8 blocks"])]
)
async def test_a_node_that_serves_few_blocks(
    http: Client,
    long_chain: tuple[Chain, PaymentPayload, str],
    caplog: pytest.LogCaptureFixture,
    most: int,
    warning: list[str],
) -> None:
    """A payment is found, and all transfers are listed, however few blocks the node serves; the start says so."""
    chain, paid, transaction = long_chain
    pay_to = paid.accepted.pay_to
    with gate(chain.url) as at:
        network = chain.network(rpc_url=at.url)
        with at.ruled(few_blocks(most)):
            await checks.check_networks(http, [network])
            assert await look(http, chain, paid, network=network, minutes=60) == Landed(transaction)
            since = datetime.fromtimestamp(chain.now(), UTC) - timedelta(hours=1)
            pages = [page async for page in reading.received(http, network, [pay_to], since)]

    assert [transfer.transaction for page in pages for transfer in page] == [transaction]
    assert [said.partition("eth_getLogs ")[2].partition(":")[0] for said in caplog.messages] == warning
    assert all(said.startswith("INSTANT_NETWORKS[0].rpc_url leads to a node that refuses") for said in caplog.messages)


async def test_a_node_that_serves_no_logs(
    http: Client, long_chain: tuple[Chain, PaymentPayload, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is decided, and the start names what to change."""
    chain, paid, _ = long_chain
    with gate(chain.url) as at, at.ruled(few_blocks(0)):
        network = chain.network(rpc_url=at.url)
        await checks.check_networks(http, [network])
        with pytest.raises(Unavailable, match=r"^chain_unreachable$"):
            await look(http, chain, paid, network=network)

    (warning,) = caplog.messages
    assert "refuses eth_getLogs: payments whose settlement is unknown stay undecided" in warning
    assert at.url not in warning


async def test_a_new_payment_is_looked_for_in_few_blocks(
    http: Client, long_chain: tuple[Chain, PaymentPayload, str]
) -> None:
    """The newest blocks come first, in a page so small that hardly a node refuses it."""
    chain, *_ = long_chain
    paid = chain.signed()
    transaction = chain.bring(paid)
    with gate(chain.url) as at, at.ruled(few_blocks(node.FIRST_PAGE_BLOCKS)):
        network = chain.network(rpc_url=at.url)
        assert await look(http, chain, paid, network=network) == Landed(transaction)
    assert len(at.passed) == 5, "chain id, block, state, logs, receipt"
