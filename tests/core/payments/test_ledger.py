"""The ledger against a real Postgres: payments and executions agree after any events in any order."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import settings as bounds
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from psycopg.errors import RaiseException
from x402.schemas import PaymentPayload

from core import db
from core.failures import TooManyUndecided, Unavailable
from core.payments import ledger, matching
from core.resources import readiness, versions
from core.settings import settings
from tests import practice, selling

R = TypeVar("R")

ROOM = 4
"""Executions that fit the creator's spend cap at once."""

EDGES = {
    (None, "settling"),
    *(("settling", to) for to in ("paid", "failed", "unknown")),
    *(("unknown", to) for to in ("paid", "failed")),
    *(("failed", to) for to in ("settling", "paid")),
}

STORY = "SELECT from_state, to_state, transaction FROM payment_transitions WHERE payment_id = %(id)s ORDER BY id"
BOOK = """
    SELECT payments.id, payments.state, payments.transaction, payments.nonce, executions.id AS execution_id,
        executions.state AS execution, reservations.execution_id IS NOT NULL AND released_at IS NULL AS reserved
    FROM payments
    JOIN executions ON executions.payment_id = payments.id
    LEFT JOIN reservations ON reservations.execution_id = executions.id
    WHERE executions.account_id = %(account)s
"""
SPENT = """
    SELECT coalesce(sum(reserved_usd), 0) AS reserved, coalesce(sum(spent_usd), 0) AS spent
    FROM spend_days WHERE account_id = %(account)s
"""


@dataclass
class Expected:
    """The expected state of one payment."""

    payment_id: UUID
    execution_id: UUID
    history: list[str]
    transaction: str | None = None
    owed: bool = False
    proved: bool = False

    @property
    def state(self) -> str:
        return self.history[-1]

    @property
    def execution(self) -> str:
        if self.state == "paid":
            return "failed" if self.owed else "queued"
        return "void" if self.state == "failed" else "held"


@dataclass(frozen=True)
class Market:
    """A creator with room for `ROOM` executions, their version on sale, and the door that claims."""

    version: versions.Version
    owner: UUID

    def wish(self, of: matching.MatchedPayment) -> ledger.ClaimRequest:
        return ledger.ClaimRequest(of, self.version, {"topic": "x"}, self.owner)


async def market(conn: db.Connection, room: int = ROOM) -> Market:
    """Make a market that nothing else uses, whose creator's cap has room for so many executions."""
    creator, owner = await selling.creator(conn), uuid4()
    await selling.publish(conn, creator)
    version = await readiness.resolve(conn, creator.handle, "haiku")
    await conn.execute("INSERT INTO workers (id, kind, host, pid) VALUES (%s, 'door', 'here', 1)", [owner])
    await conn.execute(
        "UPDATE accounts SET daily_spend_cap_usd = %s WHERE id = %s", [room * version.worst_cost_usd, creator.id]
    )
    return Market(version, owner)


def terms(nonce: int, more: str = "", wallet: int | None = None) -> matching.MatchedPayment:
    """A matched and verified payment; `more` replaces what another bearer of the authorization would send.

    Each is of a wallet of its own, or of this one.
    """
    requirements = practice.requirements()
    payer = f"0x{nonce if wallet is None else wallet:040x}"
    authorization = {"from": payer, "to": practice.PAY_TO, "value": "2000", "validAfter": "0", "validBefore": "9" * 10}
    payload = {"authorization": authorization | {"nonce": f"0x{nonce:064x}"}, "signature": "0x" + "34" * 65}
    return matching.MatchedPayment(
        network=settings().networks[0],
        requirements=requirements,
        payload=PaymentPayload(payload=payload, accepted=requirements, extensions={"more": more}),
        payer=payer,
        nonce=nonce.to_bytes(32),
        pay_to=practice.PAY_TO.lower(),
        amount_atomic=2000,
        valid_before=datetime.now(UTC) + timedelta(minutes=5),
        quoted=True,
        is_proved=True,
    )


def a_hash() -> str:
    return "0x" + os.urandom(32).hex()


class Ledger(RuleBasedStateMachine):
    """Everything that may happen to a payment, in any order and repeatedly, compared with a simple model."""

    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        # A separate loop beside pytest's, which never runs during this test.
        self.loop = asyncio.new_event_loop()
        self.conn = self.loop.run_until_complete(db.connect())
        self.loop.run_until_complete(self.conn.set_autocommit(False))
        self.market = self.do(market)
        self.expected: dict[int, Expected] = {}
        # Nonces of earlier examples are used up in the same database.
        self.first = int.from_bytes(os.urandom(8)) << 8

    def teardown(self) -> None:
        self.loop.run_until_complete(self.conn.close())
        self.loop.close()

    def do(self, act: Callable[[db.Connection], Awaitable[R]]) -> R:
        """Run one transaction: committed, or rolled back by its exception."""

        async def transaction() -> R:
            async with self.conn.transaction():
                return await act(self.conn)

        return self.loop.run_until_complete(transaction())

    @property
    def room(self) -> int:
        return ROOM - sum(one.execution in ("held", "queued") for one in self.expected.values())

    @property
    def has_room(self) -> bool:
        return self.room > 0

    @rule(target=known, presented=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["", "stranger"])), min_size=1))
    def claim(self, presented: list[tuple[int, str]]) -> Any:
        """Only the first to present an authorization gets it, whoever presents it later or at the same time.

        What is claimed together is claimed as long as there is room for all of it.
        """
        requests = [self.market.wish(terms(self.first + number, more)) for number, more in presented]
        nonces = [self.first + number for number, _ in presented]
        new = set(nonces) - self.expected.keys()
        claimed = [False] * len(requests)
        with suppress(Unavailable):
            claimed = self.do(lambda conn: ledger.claim(conn, requests))
        won = [(nonce, request) for nonce, request, is_mine in zip(nonces, requests, claimed, strict=True) if is_mine]
        assert sorted(nonce for nonce, _ in won) == (sorted(new) if len(new) <= self.room else [])
        for nonce, request in won:
            self.expected[nonce] = Expected(request.payment_id, request.execution_id, ["settling"])
        return multiple(*(nonce for nonce, _ in won))

    @rule(nonce=known)
    def pay(self, nonce: int) -> None:
        """The payment settled, or was found on the chain."""
        transaction, one = a_hash(), self.expected[nonce]
        self.do(lambda conn: ledger.pay(conn, [ledger.Paid(one.payment_id, transaction, "settled")]))
        if one.state in ("settling", "unknown"):
            one.history.append("paid")
            one.transaction = transaction

    @rule(nonce=known, proved=st.booleans())
    def refuse(self, nonce: int, proved: bool) -> None:
        """The payment was refused, or the chain says that it can never land."""
        one = self.expected[nonce]
        self.do(lambda conn: ledger.fail(conn, one.payment_id, "refused", proved=proved))
        if one.state in ("settling", "unknown"):
            one.history.append("failed")
            one.proved = proved

    @rule(nonce=known)
    def doubt(self, nonce: int) -> None:
        """The reply was lost."""
        one = self.expected[nonce]
        self.do(lambda conn: ledger.mark_unknown(conn, one.payment_id, "lost"))
        if one.state == "settling":
            one.history.append("unknown")

    @rule(nonce=known)
    def prove(self, nonce: int) -> None:
        """The chain says that it can no longer land: no further check is due, and it cannot come back."""
        one = self.expected[nonce]
        self.do(lambda conn: ledger.mark_final(conn, one.payment_id))
        one.proved |= one.state == "failed"

    @rule(nonce=known, same=st.booleans())
    def reenter(self, nonce: int, same: bool) -> None:
        """The identical payload comes back after a refusal without proof; otherwise nothing happens."""
        one = self.expected[nonce]
        found = self.do(lambda conn: ledger.find(conn, terms(nonce).payload))
        assert found is not None
        if not same:
            found = found._replace(request_sha256=os.urandom(32))
        again = False
        with suppress(Unavailable):
            again = self.do(lambda conn: ledger.reclaim(conn, found, self.market.version, self.market.owner))
        assert again is (same and one.state == "failed" and not one.proved and self.has_room)
        if again:
            one.history.append("settling")

    @rule(nonce=known, has_room=st.booleans())
    def land(self, nonce: int, has_room: bool) -> None:
        """A refused payment lands late: its execution runs if there is room, and is owed otherwise."""
        one, transaction = self.expected[nonce], a_hash()
        landed = False
        with suppress(Unavailable):
            self.do(lambda conn: ledger.record_late_settlement(conn, one.payment_id, transaction, has_room=has_room))
            landed = one.state == "failed"
        assert landed is (one.state == "failed" and (self.has_room or not has_room))
        if landed:
            one.history.append("paid")
            one.transaction, one.owed = transaction, not has_room

    @rule(nonce=known)
    def replay(self, nonce: int) -> None:
        """Everybody who presents it again gets the same execution."""
        found = self.do(lambda conn: ledger.find(conn, terms(nonce, "any").payload))
        assert found
        assert (found.id, found.execution_id) == (self.expected[nonce].payment_id, self.expected[nonce].execution_id)

    @rule(nonce=known)
    def open(self, nonce: int) -> None:
        """The sealed payload is the claimed one, whoever came later."""
        recorded = self.do(lambda conn: ledger.read(conn, self.expected[nonce].payment_id))
        assert matching.key_of(ledger.open_payload(recorded).reveal())[3] == recorded.nonce == nonce.to_bytes(32)

    @invariant()
    def money_and_executions_agree(self) -> None:
        """Each authorization has one payment, its execution has the matching state, and the reservations add up."""
        account = self.market.version.account_id
        rows = self.do(lambda conn: fetch(conn, BOOK, account=account))
        assert {int.from_bytes(row.nonce): row.id for row in rows} == {
            nonce: one.payment_id for nonce, one in self.expected.items()
        }
        assert len(rows) == len(self.expected)
        for row in rows:
            one = self.expected[int.from_bytes(row.nonce)]
            assert (row.state, row.transaction) == (one.state, one.transaction)
            assert (row.execution_id, row.execution) == (one.execution_id, one.execution)
            assert row.reserved is (one.execution in ("held", "queued"))
        (sums,) = self.do(lambda conn: fetch(conn, SPENT, account=account))
        assert sums.reserved == sum(row.reserved for row in rows) * self.market.version.worst_cost_usd
        assert sums.spent == Decimal(0)

    @invariant()
    def history_is_told(self) -> None:
        """Every step is recorded, only along allowed edges, without a gap."""
        for one in self.expected.values():
            story = self.do(lambda conn, one=one: fetch(conn, STORY, id=one.payment_id))
            assert [row.to_state for row in story] == one.history
            assert [row.from_state for row in story] == [None, *one.history[:-1]]
            assert {(row.from_state, row.to_state) for row in story} <= EDGES
            paid = [row.transaction for row in story if row.to_state == "paid"]
            assert paid == ([one.transaction] if one.transaction else [])


def test_any_order(own_database: str) -> None:
    """Claims, refusals, unknown outcomes, late landings and replays in any order; see the state machine above."""
    run_state_machine_as_test(Ledger, settings=bounds(max_examples=15, stateful_step_count=25, deadline=None))


async def test_claims_race(own_database: str) -> None:
    """Of many concurrent claims of one authorization on separate connections, one wins and none fails."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            here = await market(conn)

        requests = [here.wish(terms(1, str(number))) for number in range(12)]

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
        requests = [here.wish(named(200 + number)) for number in range(ROOM)]
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
        first, second, third = (here.wish(named(300 + number)) for number in range(3))
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
        requests = [here.wish(named(400 + number, wallet=1 + number)) for number in range(2)]
        for request in requests:
            assert await ledger.find_named(conn, here.version.resource_id, request.matched.payload) is None
            assert await ledger.claim(conn, [request]) == [True]
        for request in requests:
            found = db.required(await ledger.find_named(conn, here.version.resource_id, request.matched.payload))
            assert found.id == request.payment_id


def named(nonce: int, wallet: int = 1) -> matching.MatchedPayment:
    """A payment with an identifier that all of them share, of one wallet."""
    of = terms(nonce, wallet=wallet)
    of.payload.extensions = {"payment-identifier": {"info": {"id": "pay_7d5d747be160e280504c099d984bcfe0"}}}
    return of


async def test_claims_race_for_the_last_room(own_database: str) -> None:
    """Concurrent payments beyond the cap: as many as fit are claimed, and the others leave no trace."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            here = await market(conn)

        async def claim(number: int) -> bool:
            with suppress(Unavailable):
                async with pool.connection() as conn:
                    await ledger.claim(conn, [here.wish(terms(100 + number))])
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
        request = here.wish(terms(7))
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
        requests = [here.wish(terms(number, wallet=1)) for number in range(most)]
        assert await ledger.claim(conn, requests[:-1]) == [True] * (most - 1)
        await ledger.require_room(conn, terms(0, wallet=1).payer)
        await ledger.mark_unknown(conn, requests[0].payment_id, "lost")
        more = [there.wish(terms(most + number, wallet=1)) for number in range(3)]
        other = there.wish(terms(most + 3, wallet=2))

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
                return (await ledger.claim(conn, [markets[number % 4].wish(terms(number, wallet=1))]))[0]

        assert sum(await asyncio.gather(*map(claim, range(14)))) == settings().undecided_limit


async def test_a_refused_payment_needs_room_to_come_back(own_database: str) -> None:
    """Otherwise many could be refused one after the other and come back together."""
    most = settings().undecided_limit
    async with db.pool() as pool, pool.connection() as conn:
        here = await market(conn, 100)
        first, *others = [here.wish(terms(number, wallet=1)) for number in range(most + 1)]
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
        requests = [here.wish(terms(number)) for number in range(6)]
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
            requests = [here.wish(terms(number)) for number in range(6)]
            await ledger.claim(conn, requests)
        shared = a_hash()

        async def pay(request: ledger.ClaimRequest) -> bool:
            async with pool.connection() as conn:
                return (await ledger.pay(conn, [ledger.Paid(request.payment_id, shared, "settled")]))[0]

        assert sum(await asyncio.gather(*map(pay, requests))) == 1


async def fetch(conn: db.Connection, query: str, **parameters: object) -> list[Any]:
    return await (await conn.execute(query.encode(), parameters)).fetchall()
