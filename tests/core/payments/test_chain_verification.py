"""What a facilitator told is verified on the chain; a network on which it proved wrong sells nothing until resumed."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from x402.schemas import PaymentPayload

from core import db
from core.failures import InvalidInput, Unavailable
from core.notices import messages
from core.notices import rules as notice_rules
from core.observability import gauges
from core.payments import chain_verification, ledger, matching, settlement
from core.payments.chain_verification import Verified
from core.payments.facilitator import Facilitator
from core.payments.settlement import PaymentClients
from core.resources import readiness
from core.settings import SANDBOX_NETWORK, settings
from tests import facilitators, orders, practice, servers, shops
from tests.shops import PRICE_ATOMIC, Buyer, Shop

NOTHING = Verified(0, 0, 0, [], [])


@pytest.fixture
async def pool(own_database: str, practice_facilitator: str) -> AsyncIterator[db.Pool]:
    """An empty database, beside the practice facilitator's book."""
    async with db.pool() as opened:
        yield opened


@pytest.fixture
async def clients(pool: db.Pool) -> AsyncIterator[PaymentClients]:
    """Clients of the practice network."""
    async with settlement.payment_clients() as opened:
        yield opened


@pytest.fixture
async def shop(pool: db.Pool, practice_openrouter: str) -> Shop:
    """A creator who sells a prompt."""
    return await shops.open_shop(pool)


async def test_what_was_told_is_on_the_chain(pool: db.Pool, clients: PaymentClients, shop: Shop) -> None:
    """An honest settlement agrees, and is asked about once."""
    paid = await claim(pool, shop)
    await settle(pool, clients, paid)

    assert await chain_verification.verify(pool, clients) == replace(NOTHING, agree=1)
    assert await chain_verification.verify(pool, clients) == NOTHING
    assert await verification(pool, paid) == "agrees"


async def test_blocks_have_to_pass(pool: db.Pool, clients: PaymentClients, shop: Shop) -> None:
    """A payment is verified when so many blocks follow its own."""
    paid = await claim(pool, shop)
    await settle(pool, clients, paid)
    network = clients.networks[SANDBOX_NETWORK].model_copy(update={"confirmations": 3})
    later = replace(clients, networks={SANDBOX_NETWORK: network})
    await mine(2)
    assert await chain_verification.verify(pool, later) == replace(NOTHING, wait=1)
    await mine(1)
    assert await chain_verification.verify(pool, later) == replace(NOTHING, agree=1)


@pytest.mark.parametrize(
    ("lie", "verdict"),
    [
        ("made up", "transfer_missing"),
        ("somebody else's", "transfer_missing"),
        ("the same wallet's", "transfer_missing"),
        ("ours is another", "transfer_differs"),
    ],
)
async def test_a_lie_is_found(pool: db.Pool, clients: PaymentClients, shop: Shop, lie: str, verdict: str) -> None:
    """The named transaction does not hold the transfer: wrong, as soon as the chain is clearly later."""
    buyer = await Buyer().fund()
    paid, transaction = await claim(pool, shop, buyer), orders.a_transaction()
    if lie.endswith("'s"):
        wallet = buyer if lie == "the same wallet's" else await Buyer().fund()
        other = payment(shop, wallet)
        await clients.facilitators[SANDBOX_NETWORK].settle(other, other.accepted)
        (transaction,) = await practice.booked(settings().networks[0], other)
    if lie == "ours is another":
        await clients.facilitators[SANDBOX_NETWORK].settle(paid.matched.payload, paid.matched.requirements)
    await tell(pool, paid, transaction)

    assert await chain_verification.verify(pool, clients) == replace(NOTHING, wait=1), "the node may lag"
    await pass_time(pool)
    assert await chain_verification.verify(pool, clients) == replace(NOTHING, differ=1)
    assert await verification(pool, paid) == verdict
    (state,) = await networks(pool)
    assert (state.network, state.paused_at, state.differing, state.unverified) == (SANDBOX_NETWORK, None, 1, 0)


async def test_one_hash_for_two_payments(pool: db.Pool, clients: PaymentClients, shop: Shop) -> None:
    """The first is believed until it is verified; the second is unknown, and the chain, not the answer, decides it."""
    payments = [await claim(pool, shop) for _ in range(2)]
    async with facilitators.somebody() as liar:
        network = clients.networks[SANDBOX_NETWORK].model_copy(update={"facilitator_url": liar.url})
        lying = replace(clients, facilitators={SANDBOX_NETWORK: Facilitator(network, clients.http)})
        for paid in payments:
            await settle(pool, lying, paid)
        for paid in payments:
            if (await row_of(pool, paid)).state == "unknown":
                assert not await settlement.decide(pool, lying, paid.payment_id), "told again of the same transaction"

    rows = [await row_of(pool, paid) for paid in payments]
    assert [(row.state, row.reason, row.settles) for row in rows] == [
        ("paid", "settled", 1),
        ("unknown", "transaction_shared", 2),
    ]


async def test_too_many_differences_pause_the_network(pool: db.Pool, clients: PaymentClients, shop: Shop) -> None:
    """Nothing is sold on it until the operator resumes it; then earlier differences no longer count."""
    for number in range(settings().difference_limit):
        assert isinstance(await on_sale(pool, shop), readiness.Ready), number
        await tell(pool, await claim(pool, shop), orders.a_transaction())
    await pass_time(pool)
    found = await chain_verification.verify(pool, clients)
    assert found == replace(NOTHING, differ=settings().difference_limit, paused=[SANDBOX_NETWORK])

    obstacle = await on_sale(pool, shop)
    assert isinstance(obstacle, Unavailable)
    assert obstacle.code == "network_paused"
    assert await chain_verification.verify(pool, clients) == NOTHING
    async with pool.connection() as conn:
        await chain_verification.resume(conn, SANDBOX_NETWORK)
        with pytest.raises(InvalidInput):
            await chain_verification.resume(conn, SANDBOX_NETWORK)
    assert isinstance(await on_sale(pool, shop), readiness.Ready)
    assert await chain_verification.verify(pool, clients) == NOTHING
    assert [(state.paused_at, state.differing) for state in await networks(pool)] == [(None, 0)]


async def test_a_chain_that_cannot_be_read(pool: db.Pool, clients: PaymentClients, shop: Shop) -> None:
    """A node that is away, or on another chain, proves nothing; the pass says which network it could not read."""
    await tell(pool, await claim(pool, shop), orders.a_transaction())
    await pass_time(pool)
    other_chain = practice.reply(200, b'{"jsonrpc": "2.0", "id": 1, "result": "0x1"}')
    async with practice.scripted(lambda _asked: other_chain) as elsewhere:
        for url in (elsewhere, f"http://127.0.0.1:{servers.free_port()}"):
            network = clients.networks[SANDBOX_NETWORK].model_copy(update={"rpc_url": url})
            lost = replace(clients, networks={SANDBOX_NETWORK: network})
            assert await chain_verification.verify(pool, lost) == replace(NOTHING, unread=[SANDBOX_NETWORK])
    assert [state.unverified for state in await networks(pool)] == [1]


async def test_the_operator_is_told(pool: db.Pool, clients: PaymentClients, shop: Shop) -> None:
    """Once of a difference, and once more of the pause; creators are not told."""
    async with pool.connection() as conn:
        for owner in (None, shop.account.id):
            await conn.execute(
                "INSERT INTO notice_addresses (id, account_id, name, scheme, sealed_url)"
                " VALUES (gen_random_uuid(), %s, 'somewhere', 'json', '')",
                [owner],
            )
    for count in (1, settings().difference_limit - 1):
        for _ in range(count):
            await tell(pool, await claim(pool, shop), orders.a_transaction())
        await pass_time(pool)
        await chain_verification.verify(pool, clients)
        for again in (1, 0):
            async with pool.connection() as conn:
                assert await notice_rules.record_findings(conn) == again

    async with pool.connection() as conn:
        notices = await notice_rules.listing(conn, None, 10)
        assert await notice_rules.listing(conn, shop.account.id, 10) == []
    told = [messages.message_for(row.rule, row.handle, row.slug, row.facts, to_operator=True) for row in notices]
    assert [message.title for message in told] == [
        f"x402 Instant: nothing is sold on {SANDBOX_NETWORK} any more",
        f"x402 Instant: 1 payment on {SANDBOX_NETWORK} differs from the chain",
    ]
    assert f"instant payments resume {SANDBOX_NETWORK}" in told[0].body
    assert [[sent["to"] for sent in row.deliveries] for row in notices] == [["operator"]] * 2


def payment(shop: Shop, buyer: Buyer) -> PaymentPayload:
    """A signed payment to the shop."""
    return practice.payment(buyer.wallet, practice.requirements(amount=PRICE_ATOMIC, pay_to=shop.payout))


async def claim(pool: db.Pool, shop: Shop, buyer: Buyer | None = None) -> ledger.ClaimRequest:
    """A claimed payment of a wallet that has the money."""
    sold = await shop.version(pool)
    buyer = buyer or await Buyer().fund()
    matched = matching.match(payment(shop, buyer), sold, {SANDBOX_NETWORK: shop.payout})
    async with pool.connection() as conn:
        request = ledger.ClaimRequest(matched, sold, orders.INPUTS, await orders.hired(conn))
        assert await ledger.claim(conn, [request]) == [True]
    return request


async def settle(pool: db.Pool, clients: PaymentClients, paid: ledger.ClaimRequest) -> None:
    """Settle a payment as the door does."""
    await settlement.settle(pool, clients, paid.payment_id, paid.matched.payload, paid.matched.requirements)


async def tell(pool: db.Pool, paid: ledger.ClaimRequest, transaction: str) -> None:
    """A facilitator says that it settled in this transaction."""
    async with pool.connection() as conn:
        assert await ledger.pay(conn, [ledger.Paid(paid.payment_id, transaction, "settled")]) == [True]


async def pass_time(pool: db.Pool) -> None:
    """Let everything have been paid longer ago than a node may lag, and make a block now."""
    ago = timedelta(seconds=settings().chain_margin_seconds + 60)
    await shops.rows(pool, "UPDATE payments SET decided_at = decided_at - %(ago)s RETURNING id", ago=ago)
    await mine(1)


async def mine(blocks: int) -> None:
    """Add empty blocks to the practice chain."""
    async with httpx.AsyncClient(verify=servers.TLS) as http:
        url = f"{settings().networks[0].facilitator_url}/practice/mine"
        (await http.post(url, params={"blocks": blocks})).raise_for_status()


async def verification(pool: db.Pool, paid: ledger.ClaimRequest) -> str:
    """What was found out about a payment."""
    return str((await row_of(pool, paid)).verification)


async def row_of(pool: db.Pool, paid: ledger.ClaimRequest) -> Any:
    """A payment's row."""
    return (await shops.rows(pool, "SELECT * FROM payments WHERE id = %(id)s", id=paid.payment_id))[0]


async def networks(pool: db.Pool) -> list[gauges.NetworkState]:
    """What readiness and the metrics say."""
    async with pool.connection() as conn:
        return await gauges.networks(conn)


async def on_sale(pool: db.Pool, shop: Shop) -> Any:
    """The readiness of the shop's prompt, or its obstacle."""
    async with pool.connection() as conn:
        return (await readiness.on_sale(conn, shop.account.handle, "haiku"))[1]
