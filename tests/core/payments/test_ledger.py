"""The ledger against a real Postgres: payments and executions agree after any events in any order."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import settings as bounds
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from core import db
from core.failures import Unavailable
from core.payments import ledger, matching
from tests.core.payments.markets import BOOK, ROOM, a_hash, fetch, market, terms

R = TypeVar("R")


EDGES = {
    (None, "settling"),
    *(("settling", to) for to in ("paid", "failed", "unknown")),
    *(("unknown", to) for to in ("paid", "failed")),
    *(("failed", to) for to in ("settling", "paid")),
}

STORY = "SELECT from_state, to_state, transaction FROM payment_transitions WHERE payment_id = %(id)s ORDER BY id"
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
        requests = [self.market.request(terms(self.first + number, more)) for number, more in presented]
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
