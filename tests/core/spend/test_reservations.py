"""Costs and revenue of executions, against Postgres without Prefect."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from core import db
from core.executions import lifecycle, sends, steps
from core.executions import queue as execution_queue
from core.failures import ExecutionFailed, Unavailable
from core.payments import ledger, matching
from core.providers import usage as provider_usage
from core.secrets.private import Private
from core.spend import reservations, usage_log
from tests import callers, orders, shops

OURS = ExecutionFailed("internal_error", "ours", "internal_Practice")
R = TypeVar("R")


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


async def test_one_row_for_each_round(pool: db.Pool) -> None:
    """Of ten concurrent loggers exactly one logs each finished execution."""
    launcher = await orders.hire(pool)
    ids = await orders.queue(pool, await orders.version(pool, slots=40), 40)
    for order in await orders.begin(pool, launcher, ids):
        async with pool.connection() as conn:
            await steps.fail(conn, order, OURS)

    async def log(only: list[UUID] | None) -> list[UUID]:
        async with pool.connection() as conn:
            return await usage_log.append(conn, only)

    logged = await asyncio.gather(*(log(ids if number % 2 else None) for number in range(10)))

    assert sorted(one for share in logged for one in share) == sorted(ids)
    rows = await shops.rows(pool, "SELECT execution_id FROM usage_log")
    assert sorted(row.execution_id for row in rows) == sorted(ids)


async def test_revenue_counts_once(pool: db.Pool) -> None:
    """A re-run is logged as a separate round with amount 0, because the buyer paid once."""
    launcher = await orders.hire(pool)
    sold = await orders.version(pool)
    paid = await orders.pay(pool, sold, launcher)
    for last in (False, True):
        (order,) = await orders.begin(pool, launcher, [paid])
        await orders.finish(pool, order, OURS)
        if not last:
            async with pool.connection() as conn:
                assert await lifecycle.rerun(conn, paid)

    rows = await shops.rows(pool, "SELECT round, kind, amount_atomic FROM usage_log ORDER BY round")
    assert [tuple(row) for row in rows] == [(1, "paid", sold.price_atomic), (2, "paid", 0)]


async def test_what_runs_is_not_logged(pool: db.Pool) -> None:
    """Only ended rounds have a usage row; a queued re-run has one for its first round only."""
    launcher = await orders.hire(pool)
    paid = await orders.pay(pool, await orders.version(pool), launcher)
    (order,) = await orders.begin(pool, launcher, [paid])
    async with pool.connection() as conn:
        assert await usage_log.append(conn) == []
    await orders.finish(pool, order, OURS)
    async with pool.connection() as conn:
        assert await lifecycle.rerun(conn, paid)
        assert await usage_log.append(conn) == []


async def test_what_took_a_month_keeps_nobody_from_being_logged(pool: db.Pool) -> None:
    """A payment that was decided after weeks: its times are capped when stored, and all executions are logged."""
    launcher = await orders.hire(pool)
    sold = await orders.version(pool)
    ids = [await orders.pay(pool, sold, launcher) for _ in range(2)]
    for order in await orders.begin(pool, launcher, ids):
        async with pool.connection() as conn:
            await conn.execute(
                "UPDATE executions SET created_at = created_at - interval '30 days' WHERE id = %s", [ids[0]]
            )
            await steps.fail(conn, order, OURS)

    async with pool.connection() as conn:
        assert sorted(await usage_log.append(conn)) == sorted(ids)
    (longest,) = await shops.rows(pool, "SELECT max(total_ms) AS ms FROM usage_log")
    assert longest.ms == 2**31 - 1


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("calls_a_day", "spend_cap"),
        ("own_calls_a_day", "resource_spend_cap"),
        ("calls_a_month", "monthly_spend_cap"),
        ("own_calls_a_month", "resource_monthly_spend_cap"),
    ],
)
async def test_a_hundred_calls_at_once_never_pass_a_cap(pool: db.Pool, limit: str, code: str) -> None:
    """Of a hundred payments that are claimed at once with room for seven, seven are; the others leave nothing."""
    launcher = await orders.hire(pool)
    sold = await orders.version(pool, **{limit: 7})
    wishes = [ledger.ClaimRequest(orders.terms(sold), sold, orders.INPUTS, launcher) for _ in range(100)]

    async def claim(wish: ledger.ClaimRequest) -> str:
        try:
            async with pool.connection() as conn:
                assert await ledger.claim(conn, [wish]) == [True]
        except Unavailable as refusal:
            return refusal.code
        return "claimed"

    answers = await asyncio.gather(*map(claim, wishes))

    assert Counter(answers) == {"claimed": 7, code: 93}
    assert len(await shops.rows(pool, "SELECT id FROM payments")) == 7
    ((reserved,),) = await shops.rows(pool, "SELECT reserved_usd FROM spend_days")
    assert reserved == 7 * sold.worst_cost_usd


async def test_a_month_is_held_over_midnight(pool: db.Pool) -> None:
    """Claims of two days of one month wait for each other too, although each has a day of its own to lock."""
    sold = await orders.version(pool, calls_a_month=1)
    async with pool.connection() as conn:
        # What a claim does that began before midnight and has not ended.
        await conn.execute("SELECT FROM accounts WHERE id = %s FOR NO KEY UPDATE", [sold.account_id])
        today, first = datetime.now(UTC).date(), datetime.now(UTC).date().replace(day=1)
        another = first if today != first else first + timedelta(days=1)
        await conn.execute(
            "INSERT INTO spend_days (account_id, day, reserved_usd) VALUES (%s, %s, %s)",
            [sold.account_id, another, sold.worst_cost_usd],
        )
        late = asyncio.create_task(orders.queue(pool, sold))
        await shops.lock_awaited(pool)
        assert not late.done()
    with pytest.raises(Unavailable, match="monthly_spend_cap"):
        await late


async def test_what_was_spent_last_month_does_not_count(pool: db.Pool) -> None:
    """A month is the UTC calendar's, for the account and for the resource."""
    sold = await orders.version(pool, calls_a_month=1, own_calls_a_month=1)
    before = datetime.now(UTC).date().replace(day=1) - timedelta(days=1)
    for table, key, subject in (
        ("spend_days", "account_id", sold.account_id),
        ("resource_spend_days", "resource_id", sold.resource_id),
    ):
        statement = f"INSERT INTO {table} ({key}, day, spent_usd) VALUES (%(id)s, %(day)s, 50) RETURNING day"  # noqa: S608
        await shops.rows(pool, statement, id=subject, day=before)

    await orders.queue(pool, sold)
    with pytest.raises(Unavailable, match="monthly_spend_cap"):
        await orders.queue(pool, sold)


@pytest.mark.parametrize(("table", "code"), [("accounts", "call_cap"), ("resources", "resource_call_cap")])
async def test_the_most_per_call(pool: db.Pool, table: str, code: str) -> None:
    """A call that can cost more is not sold, and a second send that would make it cost more is not made."""
    launcher = await orders.hire(pool)
    sold = await orders.version(pool)
    subject = sold.account_id if table == "accounts" else sold.resource_id
    cap = f"UPDATE {table} SET most_per_call_usd = %(usd)s WHERE id = %(id)s RETURNING id"  # noqa: S608 - ours
    await shops.rows(pool, cap, usd=sold.worst_cost_usd * Decimal("1.5"), id=subject)
    paid = await orders.pay(pool, sold, launcher)
    async with pool.connection() as conn:
        with pytest.raises(ExecutionFailed, match=rf"\({code}\)") as failed:
            await reservations.extend(conn, paid, 1, usd=sold.worst_cost_usd)
        await conn.rollback()
    assert failed.value.fault == "creator"

    await shops.rows(pool, cap, usd=sold.worst_cost_usd * Decimal("0.9"), id=subject)
    with pytest.raises(Unavailable, match=code):
        await orders.pay(pool, sold, launcher)


@dataclass(frozen=True)
class Sold:
    """An execution and its payment."""

    id: UUID
    payment_id: UUID | None
    terms: matching.MatchedPayment | None


class Spending(RuleBasedStateMachine):
    """After any events of executions, in any order and repeated, a creator's day is the sum of its executions.

    Everything happens in one transaction, which is rolled back: `now()` stands still.
    """

    held = Bundle("held")
    refused = Bundle("refused")
    queued = Bundle("queued")
    running = Bundle("running")
    failed = Bundle("failed")
    ended = Bundle("ended")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.conn = self.do(db.connect())
        self.do(self.conn.set_autocommit(False))

    def do(self, work: Coroutine[Any, Any, R]) -> R:
        return self.runner.run(work)

    def fits(self, work: Coroutine[Any, Any, object]) -> bool:
        """Run an action in a savepoint that is rolled back if there is no room."""

        async def attempt() -> bool:
            try:
                async with self.conn.transaction():
                    await work
            except Unavailable:
                return False
            return True

        return self.do(attempt())

    @initialize(
        calls_a_day=st.integers(1, 4),
        others=st.fixed_dictionaries(
            dict.fromkeys(("own_calls_a_day", "calls_a_month", "own_calls_a_month"), st.none() | st.integers(1, 4))
        ),
    )
    def open(self, calls_a_day: int, others: dict[str, int | None]) -> None:
        self.sold = self.do(orders.published(self.conn, calls_a_day=calls_a_day, queue_limit=6, **others))  # type: ignore[arg-type]
        self.cap = min(calls_a_day, *filter(None, others.values()), calls_a_day) * self.sold.worst_cost_usd
        self.worker = self.do(orders.hired(self.conn))

    @rule(target=queued)
    def test(self) -> Any:
        one = lifecycle.NewExecution(self.sold, orders.INPUTS)
        return Sold(one.id, None, None) if self.fits(lifecycle.create(self.conn, [one])) else multiple()

    @rule(target=held)
    def buy(self) -> Any:
        terms = orders.terms(self.sold)
        wish = ledger.ClaimRequest(terms, self.sold, orders.INPUTS, self.worker)
        if not self.fits(ledger.claim(self.conn, [wish])):
            return multiple()
        return Sold(wish.execution_id, wish.payment_id, terms)

    @rule(target=refused, one=consumes(held))
    def refuse(self, one: Sold) -> Sold:
        assert one.payment_id
        self.do(ledger.fail(self.conn, one.payment_id, "practice"))
        return one

    @rule(one=refused)
    def refuse_again(self, one: Sold) -> None:
        assert one.payment_id
        self.do(ledger.fail(self.conn, one.payment_id, "practice"))

    @rule(target=held, one=consumes(refused))
    def come_back(self, one: Sold) -> Any:
        assert one.terms
        payment = self.do(ledger.find(self.conn, one.terms.payload))
        assert payment
        return one if self.fits(ledger.reclaim(self.conn, payment, self.sold, self.worker)) else multiple()

    @rule(target=queued, one=consumes(held))
    def pay(self, one: Sold) -> Sold:
        assert one.payment_id
        self.do(ledger.pay(self.conn, [ledger.Paid(one.payment_id, orders.a_transaction(), "settled")]))
        return one

    @rule(target=running)
    def run(self) -> Any:
        async def take() -> list[Any]:
            batch = await execution_queue.claim(self.conn, self.worker, 2)
            if batch is None:
                return []
            took = lifecycle.sql.take(
                self.conn, worker_id=self.worker, ids=batch.execution_ids, batch_id=batch.id, flow_run_id=None
            )
            return [row async for row in took]

        return multiple(*self.do(take()))

    @rule(target=failed, row=running, detail=st.sampled_from(["provider_400", "provider_timeout"]))
    def fail(self, row: Any, detail: str) -> Any:
        """Fail an execution, also late, twice, or after an answer."""
        order = steps.Order(
            row.id, row.attempt_id, row.round, row.account_id, self.sold, "", datetime.now(UTC), None, False, True, b""
        )
        trouble = ExecutionFailed("resource_unavailable", "provider", detail)
        self.do(steps.fail(self.conn, order, trouble))
        self.do(usage_log.append(self.conn))
        return row

    @rule(row=running, share=st.decimals(0, 1, places=2))
    def answer(self, row: Any, share: Decimal) -> None:
        """End a call with an answer, also late or twice."""

        async def succeed() -> None:
            used = provider_usage.Usage(cost_usd=share * self.sold.worst_cost_usd)
            await sends.finish(self.conn, [sends.Ended(self.last_send(row), "succeeded", used)])
            answer = {
                "ids": [row.id],
                "rounds": [row.round],
                "sealed_results": [b"practice"],
                "truncateds": [False],
                "leaks": [None],
                "deliveries": ["{}"],
            }
            assert len([one async for one in lifecycle.sql.succeed(self.conn, **answer)]) <= 1
            await reservations.replace_by_cost(self.conn, [(row.id, row.round)])

        self.do(succeed())

    @rule(row=running)
    def send_it(self, row: Any) -> None:
        """Send, also for an ended attempt; a second send reserves its cost too, or is refused."""
        asked = replace(callers.PROMPT, execution_id=row.id, round=row.round)

        async def begin() -> None:
            async with self.conn.transaction():
                await sends.begin_next(
                    self.conn,
                    asked,
                    account_id=self.sold.account_id,
                    attempt_id=row.attempt_id,
                    worst_cost_usd=self.sold.worst_cost_usd,
                )

        with suppress(ExecutionFailed):
            self.do(begin())

    @rule(row=running, outcome=st.sampled_from(["provider_503", "provider_504", "provider_empty"]))
    def end_send(self, row: Any, outcome: str) -> None:
        """End a send, also after its round was settled: its cost counts, whichever attempt reports it."""

        async def finish() -> None:
            await sends.finish(self.conn, [sends.Ended(self.last_send(row), outcome, provider_usage.Usage())])
            await reservations.replace_by_cost(self.conn, [(row.id, row.round)])

        self.do(finish())

    @rule(row=running)
    def settle_again(self, row: Any) -> None:
        self.do(reservations.replace_by_cost(self.conn, [(row.id, row.round)]))

    def last_send(self, row: Any) -> sends.Send:
        return sends.Send(row.id, row.round, 1, Private(b""), 0)

    @rule(row=failed)
    def rerun(self, row: Any) -> None:
        self.fits(lifecycle.rerun(self.conn, row.id))

    @invariant()
    def the_day_is_the_sum_of_its_reservations(self) -> None:
        if not hasattr(self, "sold"):
            return

        async def sums() -> Any:
            found = await self.conn.execute(
                """
                SELECT coalesce((SELECT (reserved_usd, spent_usd)::text FROM spend_days WHERE account_id = %(id)s),
                    '(0,0)') AS day,
                    coalesce((SELECT (reserved_usd, spent_usd)::text FROM resource_spend_days
                        WHERE resource_id = %(resource)s), '(0,0)') AS own_day,
                    coalesce(sum(reserved_usd) FILTER (WHERE released_at IS NULL), 0) AS reserved,
                    coalesce(sum(spent_usd) FILTER (WHERE released_at IS NOT NULL), 0) AS spent
                FROM reservations WHERE account_id = %(id)s
                """,
                {"id": self.sold.account_id, "resource": self.sold.resource_id},
            )
            return await found.fetchone()

        row = self.do(sums())
        for counted in (row.day, row.own_day):
            day = [Decimal(part) for part in counted.strip("()").split(",")]
            assert day == [row.reserved, row.spent]
            assert sum(day) <= self.cap

    def teardown(self) -> None:
        self.do(self.conn.rollback())
        self.do(self.conn.close())
        self.runner.close()
        super().teardown()


Spending.TestCase.settings = settings(
    max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.usefixtures("own_database")
class TestSpending(Spending.TestCase):
    """The state machine above."""
