"""Claims race for an authorization, an identifier, a wallet's bound and the last room; one wins each."""

import asyncio
from contextlib import suppress

import pytest
from psycopg.errors import RaiseException

from core import db
from core.failures import TooManyUndecided, Unavailable
from core.payments import ledger
from core.settings import settings
from tests.core.payments.markets import BOOK, ROOM, a_hash, fetch, market, named, terms


async def test_claims_race(own_database: str) -> None:
    """Of many concurrent claims of one authorization on separate connections, one wins and none fails."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            here = await market(conn)

        requests = [here.request(terms(1, str(number))) for number in range(12)]

        async def claim(request: ledger.ClaimRequest) -> list[bool]:
            async with pool.connection() as conn:
                return await ledger.claim(conn, [request])

        claims = await asyncio.gather(*map(claim, requests))
        async with pool.connection() as conn:
            rows = await fetch(conn, BOOK, account=here.version.account_id)

    assert [request.payment_id for request, [is_mine] in zip(requests, claims, strict=True) if is_mine] == [
        row.id for row in rows
    ]
    assert len(rows) == 1


@pytest.mark.parametrize("together", [True, False], ids=["one transaction", "many"])
async def test_claims_race_for_an_identifier(own_database: str, together: bool) -> None:
    """Of fresh authorizations with one identifier, claimed at once, one wins, and the identifier names it."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            here = await market(conn)
        requests = [here.request(named(200 + number)) for number in range(ROOM)]
        barrier = asyncio.Barrier(1 if together else ROOM)

        async def claim(requests: list[ledger.ClaimRequest]) -> list[bool]:
            async with pool.connection() as conn:
                await barrier.wait()
                return await ledger.claim(conn, requests)

        groups = [requests] if together else [[request] for request in requests]
        claims = [is_mine for group in await asyncio.gather(*map(claim, groups)) for is_mine in group]
        async with pool.connection() as conn:
            rows = await fetch(conn, BOOK, account=here.version.account_id)
            found = await ledger.find_named(conn, here.version.resource_id, requests[-1].matched.payload)

    (winner,) = [request for request, is_mine in zip(requests, claims, strict=True) if is_mine]
    assert found
    assert [row.id for row in rows] == [winner.payment_id] == [found.id]


async def test_a_failed_payment_leaves_its_identifier(own_database: str) -> None:
    """The next authorization takes the identifier; the failed one may still come back or land, without it."""
    async with db.pool() as pool, pool.connection() as conn:
        here = await market(conn)
        first, second, third = (here.request(named(300 + number)) for number in range(3))
        assert await ledger.claim(conn, [first]) == [True]
        assert await ledger.claim(conn, [second]) == [False]
        await ledger.fail(conn, first.payment_id, "refused")
        assert await ledger.find_named(conn, here.version.resource_id, second.matched.payload) is None
        assert await ledger.claim(conn, [second]) == [True]
        assert await ledger.claim(conn, [third]) == [False]
        await ledger.record_late_settlement(conn, first.payment_id, a_hash(), has_room=True)
        found = await ledger.find_named(conn, here.version.resource_id, third.matched.payload)
        assert found
        assert found.id == second.payment_id


async def test_wallets_do_not_share_identifiers(own_database: str) -> None:
    """Each wallet's identifier is its own, so none can take another's or learn that it is in use."""
    async with db.pool() as pool, pool.connection() as conn:
        here = await market(conn)
        requests = [here.request(named(400 + number, wallet=1 + number)) for number in range(2)]
        for request in requests:
            assert await ledger.find_named(conn, here.version.resource_id, request.matched.payload) is None
            assert await ledger.claim(conn, [request]) == [True]
        for request in requests:
            found = db.required(await ledger.find_named(conn, here.version.resource_id, request.matched.payload))
            assert found.id == request.payment_id


async def test_claims_race_for_the_last_room(own_database: str) -> None:
    """Concurrent payments beyond the cap: as many as fit are claimed, and the others leave no trace."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            here = await market(conn)

        async def claim(number: int) -> bool:
            with suppress(Unavailable):
                async with pool.connection() as conn:
                    await ledger.claim(conn, [here.request(terms(100 + number))])
                    return True
            return False

        claims = await asyncio.gather(*map(claim, range(12)))
        async with pool.connection() as conn:
            rows = await fetch(conn, BOOK, account=here.version.account_id)

    assert sum(claims) == len(rows) == ROOM


@pytest.mark.parametrize("state", ["settling", "unknown", "failed"])
async def test_what_is_paid_stays_paid(own_database: str, state: str) -> None:
    """The database refuses any change of state from `paid`, even by hand."""
    async with db.pool() as pool, pool.connection() as conn:
        here = await market(conn)
        request = here.request(terms(7))
        assert await ledger.claim(conn, [request]) == [True]
        await ledger.pay(conn, [ledger.Paid(request.payment_id, a_hash(), "settled")])
        change = "UPDATE payments SET state = %s, decided_at = CASE WHEN %s = 'failed' THEN now() END WHERE id = %s"
        with pytest.raises(RaiseException, match="may not go from paid"):
            await conn.execute(change, [state, state, request.payment_id])
        await conn.rollback()


async def test_a_wallets_undecided_payments_are_bounded(own_database: str) -> None:
    """Settling and unknown ones count, of all creators; other wallets in the same batch are claimed all the same."""
    most = settings().undecided_limit
    async with db.pool() as pool, pool.connection() as conn:
        here, there = await market(conn, 100), await market(conn, 100)
        requests = [here.request(terms(number, wallet=1)) for number in range(most)]
        assert await ledger.claim(conn, requests[:-1]) == [True] * (most - 1)
        await ledger.require_room(conn, terms(0, wallet=1).payer)
        await ledger.mark_unknown(conn, requests[0].payment_id, "lost")
        more = [there.request(terms(most + number, wallet=1)) for number in range(3)]
        other = there.request(terms(most + 3, wallet=2))

        assert await ledger.claim(conn, [requests[-1], *more, other]) == [True, False, False, False, True]
        with pytest.raises(TooManyUndecided) as refused:
            await ledger.require_room(conn, terms(0, wallet=1).payer)
        assert (refused.value.payments, refused.value.seconds) == (most, settings().recovery_seconds)
        await ledger.fail(conn, requests[0].payment_id, "expired_unused")
        await ledger.pay(conn, [ledger.Paid(requests[1].payment_id, a_hash(), "settled")])
        assert sum(await ledger.claim(conn, more)) == 2


async def test_a_wallets_claims_race_for_the_last_room(own_database: str) -> None:
    """On separate connections, as separate doors have them, not one more is claimed."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            markets = [await market(conn, 100) for _ in range(4)]

        async def claim(number: int) -> bool:
            async with pool.connection() as conn:
                return (await ledger.claim(conn, [markets[number % 4].request(terms(number, wallet=1))]))[0]

        assert sum(await asyncio.gather(*map(claim, range(14)))) == settings().undecided_limit


async def test_a_refused_payment_needs_room_to_come_back(own_database: str) -> None:
    """Otherwise many could be refused one after the other and come back together."""
    most = settings().undecided_limit
    async with db.pool() as pool, pool.connection() as conn:
        here = await market(conn, 100)
        first, *others = [here.request(terms(number, wallet=1)) for number in range(most + 1)]
        await ledger.claim(conn, [first])
        await ledger.fail(conn, first.payment_id, "refused")
        assert await ledger.claim(conn, others) == [True] * most
        found = db.required(await ledger.find(conn, first.matched.payload))
        with pytest.raises(TooManyUndecided):
            async with conn.transaction():
                await ledger.reclaim(conn, found, here.version, here.owner)
        assert db.required(await ledger.find(conn, first.matched.payload)).state == "failed"
        await ledger.fail(conn, others[0].payment_id, "refused")
        assert await ledger.reclaim(conn, found, here.version, here.owner)


async def test_a_facilitator_names_a_transaction_once(own_database: str) -> None:
    """Its word for a transaction that another payment names is no proof, at once or later; the chain's is."""
    async with db.pool() as pool, pool.connection() as conn:
        here = await market(conn, 100)
        requests = [here.request(terms(number)) for number in range(6)]
        await ledger.claim(conn, requests)
        ids, shared = [request.payment_id for request in requests], a_hash()

        told = [ledger.Paid(ids[number], shared, "settled") for number in range(2)]
        assert sum(await ledger.pay(conn, [*told, ledger.Paid(ids[2], a_hash(), "settled")])) == 2
        assert await ledger.pay(conn, [ledger.Paid(ids[3], shared, "settled_again")]) == [False]
        assert await ledger.pay(conn, [ledger.Paid(ids[3], shared, "found_on_chain")]) == [True]
        batch = [ledger.Paid(ids[4], other := a_hash(), "settled"), ledger.Paid(ids[5], other, "found_on_chain")]
        assert await ledger.pay(conn, batch) == [False, True]


async def test_a_shared_transaction_races(own_database: str) -> None:
    """Told of one transaction for many payments on separate connections, one is paid."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            here = await market(conn, 100)
            requests = [here.request(terms(number)) for number in range(6)]
            await ledger.claim(conn, requests)
        shared = a_hash()

        async def pay(request: ledger.ClaimRequest) -> bool:
            async with pool.connection() as conn:
                return (await ledger.pay(conn, [ledger.Paid(request.payment_id, shared, "settled")]))[0]

        assert sum(await asyncio.gather(*map(pay, requests))) == 1
