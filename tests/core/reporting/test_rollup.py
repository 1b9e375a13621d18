"""The rollup of the usage log, compared with a recount in Python."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from core import db
from core.reporting import partitions as usage_partitions
from core.reporting import rollup as usage_rollup
from core.resources import versions
from core.spend import usage_log
from tests import histories, shops
from tests.core.reporting.test_histogram import bucket

R = TypeVar("R")
Key = tuple[Any, ...]

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)
SUMS = (  # noqa: SIM905 - it is a list of words
    "calls succeeded failed declined fault_buyer fault_creator fault_provider fault_ours charged sends input_tokens"
    " output_tokens revenue_atomic cost_usd cost_unknown spent_usd margin_usd truncated watched withheld"
).split()
PHASES = ("settle", "queue", "upstream", "total")
LIVE = [name for name in SUMS if name not in ("fault_buyer", "sends", "margin_usd")]
LIVE_PHASES = PHASES[1:]
READ_LIVE = """
SELECT 'hour' AS span, date_trunc('hour', starts_at, 'UTC') AS starts_at, account_id, version_id, model_served, network,
    kind, calls, succeeded, failed, declined, fault_creator, fault_provider, fault_ours, charged, input_tokens,
    output_tokens, revenue_atomic, cost_usd, cost_unknown, spent_usd, truncated, watched, withheld, queue, upstream,
    total
FROM live_usage('hour', '2000-01-01Z', '2200-01-01Z')
"""


def start(at: datetime, span: str) -> datetime:
    """The begin of the hour, day or month of a time."""
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return {"hour": hour, "day": hour.replace(hour=0), "month": hour.replace(day=1, hour=0)}[span]


def counted_anew(rows: list[Any]) -> dict[Key, Any]:
    """Recount a log: rows by span, start, and grouping."""
    found: dict[Key, Counter[Any]] = defaultdict(Counter)
    for row in rows:
        facts: Counter[Any] = Counter(
            {
                "calls": 1,
                row.outcome: 1,
                "charged": int(row.outcome != "succeeded" and row.spent_usd > 0),
                "sends": row.sends,
                "input_tokens": row.input_tokens or 0,
                "output_tokens": row.output_tokens or 0,
                "revenue_atomic": row.amount_atomic,
                "cost_usd": row.cost_usd or 0,
                "cost_unknown": int(row.cost_usd is None and row.spent_usd > 0),
                "spent_usd": row.spent_usd,
                "truncated": int(row.truncated),
                "watched": int(row.leak is not None),
                "withheld": int(row.detail in ("withheld_canary", "withheld_overlap")),
                "margin_usd": Decimal(row.amount_atomic) / 1_000_000 - row.spent_usd,
            }
        )
        if row.fault:
            facts[f"fault_{row.fault}"] = 1
        times = {phase: getattr(row, f"{phase}_ms") for phase in PHASES}
        facts.update({(phase, bucket(ms)): 1 for phase, ms in times.items() if ms is not None})
        for span in ("hour", "day", "month"):
            key = (span, start(row.created_at, span), row.account_id, row.version_id, row.model_served, row.network)
            # `update` adds, and keeps negative values.
            found[(*key, row.kind)].update(facts)
    return {key: {name: value for name, value in facts.items() if value} for key, facts in found.items()}


def as_counted(rows: list[Any], sums: Sequence[str] = SUMS, phases: Sequence[str] = PHASES) -> dict[Key, Any]:
    """The rollup's rows in the same form."""
    found: dict[Key, Counter[Any]] = defaultdict(Counter)
    for row in rows:
        facts: Counter[Any] = Counter({name: getattr(row, name) for name in sums})
        for phase in phases:
            facts.update({(phase, number): calls or 0 for number, calls in enumerate(getattr(row, phase), 1)})
        key = (row.span, row.starts_at, row.account_id, row.version_id, row.model_served, row.network, row.kind)
        found[key].update(facts)
    return {key: {name: value for name, value in facts.items() if value} for key, facts in found.items()}


async def is_exact(conn: db.Connection, dropped: list[Any] | None = None) -> set[Key]:
    """Check one snapshot: every period equals a recount, unless it is marked; what reports read always does.

    Returns:
        Periods that are marked.
    """

    async def all_of(query: str) -> list[Any]:
        return await (await conn.execute(query.encode())).fetchall()

    recount = counted_anew([*await all_of("SELECT * FROM usage_log"), *(dropped or [])])
    rollup = as_counted(await all_of("SELECT * FROM usage_rollup"))
    marks = {(row.span, row.starts_at) for row in await all_of("SELECT DISTINCT span, starts_at FROM usage_dirty")}
    marks |= {("day", start(at, "day")) for span, at in marks if span == "hour"}
    marks |= {("month", start(at, "month")) for _span, at in marks}
    for span in ("hour", "day", "month"):
        watermark = await usage_rollup.watermark(conn, span)
        assert all(at >= watermark for marked, at in marks if marked == span)
    for key in rollup.keys() | recount.keys():
        if key[:2] not in marks:
            assert rollup.get(key) == recount.get(key), key
    for span in ("hour", "day"):
        # A day that is not summed is returned by its hours.
        live = as_counted(
            await all_of(READ_LIVE.replace("hour", span)),
            LIVE,
            LIVE_PHASES,
        )
        expected = {
            key: {name: value for name, value in facts.items() if name in LIVE or name[0] in LIVE_PHASES}
            for key, facts in recount.items()
            if key[0] == span
        }
        assert live == expected
    return {mark for mark in marks if mark[0] == "hour"}


async def is_exact_now(pool: db.Pool) -> set[Key]:
    """Check a new snapshot."""
    async with db.snapshot(pool) as conn:
        return await is_exact(conn)


endings = st.builds(
    histories.Ending,
    outcome=st.just("succeeded"),
    model=st.sampled_from(["test/small-2026", "test/small-2025"]),
    settle=st.integers(0, 10**7),
    queue=st.integers(0, 10**7),
    upstream=st.integers(0, 10**7),
    tokens=st.integers(0, 10**6),
    cost_usd=st.none() | st.decimals(0, 1, places=6),
    spent_usd=st.decimals(0, 1, places=6),
) | st.sampled_from([histories.FAILED, histories.CHARGED, histories.DECLINED])
# The last hours of a month, the first of the next, and a month long before, each with its first and last moment.
times = st.builds(
    lambda month, hours, within: month + timedelta(hours=hours) + within,
    st.sampled_from([NOON, NOON, NOON - timedelta(days=186)]),
    st.integers(0, 13),
    st.sampled_from([timedelta(0), timedelta(minutes=17), timedelta(hours=1) - timedelta(microseconds=1)]),
)


class History(RuleBasedStateMachine):
    """Rows arrive, arrive late, change and are counted, in any order: at every moment invariant 9 holds."""

    executions = Bundle("executions")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.pool = self.do(self.stack.enter_async_context(db.pool()))
        self.held: list[tuple[db.Connection, UUID]] = []
        self.dropped: list[Any] = []

    def do(self, work: Coroutine[Any, Any, R]) -> R:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        async def empty() -> None:
            async with self.pool.connection() as conn:
                await conn.execute("SET LOCAL ROLE instant_owner")
                await conn.execute("TRUNCATE accounts, models, payments, workers, usage_rollup, usage_dropped CASCADE")
                await conn.execute("TRUNCATE usage_dirty")
                self.sold = await histories.publish(conn)
                for at in (NOON, NOON + timedelta(days=1)):
                    await conn.execute("SELECT make_usage_month(%s)", [at])

        self.do(empty())

    @rule(target=executions, at=times, ending=endings, paid=st.booleans())
    def sell(self, at: datetime, ending: histories.Ending, paid: bool) -> UUID:
        async def committed() -> UUID:
            async with self.pool.connection() as conn:
                return await histories.sell(conn, self.sold, at, ending, paid=paid)

        return self.do(committed())

    @rule(at=times, ending=endings)
    def sell_and_hold(self, at: datetime, ending: histories.Ending) -> None:
        """Keep a transaction open while others write and count."""

        async def held() -> None:
            conn = await db.connect()
            await conn.set_autocommit(False)
            self.held.append((conn, await histories.sell(conn, self.sold, at, ending)))

        if len(self.held) < 3:
            self.do(held())

    @rule(target=executions, commits=st.booleans())
    def let_go(self, commits: bool) -> Any:
        if not self.held:
            return multiple()
        conn, execution_id = self.held.pop(0)
        self.do(conn.commit() if commits else conn.rollback())
        self.do(conn.close())
        return execution_id if commits else multiple()

    @rule(execution_id=executions, ending=endings)
    def rerun(self, execution_id: UUID, ending: histories.Ending) -> None:
        async def again() -> None:
            async with self.pool.connection() as conn:
                await histories.rerun(conn, execution_id, ending)

        self.do(again())

    @rule(execution_id=executions, usd=st.decimals(0, 1, places=6))
    def learn_cost(self, execution_id: UUID, usd: Decimal) -> None:
        self.do(
            change(
                self.pool,
                "UPDATE usage_log SET cost_usd = %s, spent_usd = %s WHERE execution_id = %s",
                usd,
                usd,
                execution_id,
            )
        )

    @rule()
    def log_again(self) -> None:
        async def again() -> list[UUID]:
            async with self.pool.connection() as conn:
                return await usage_log.append(conn)

        assert self.do(again()) == []

    @rule(since=times)
    def mark(self, since: datetime) -> None:
        async def marked() -> None:
            async with self.pool.connection() as conn:
                await usage_rollup.mark(conn, since)

        self.do(marked())

    @rule()
    def roll_up(self) -> None:
        """After a rollup no committed row is marked, whatever transactions are open meanwhile."""

        async def rolled_up() -> None:
            await usage_rollup.roll_up(self.pool)
            async with db.snapshot(self.pool) as conn:
                assert await is_exact(conn, self.dropped) == set()

        self.do(rolled_up())

    @rule()
    def make_months(self) -> None:
        if not self.held:
            self.do(usage_partitions.create_months(self.pool))

    @rule(at=times)
    def drop_month(self, at: datetime) -> None:
        """The month's counts stay, and later rows are added to them."""

        async def dropped() -> None:
            month = start(at, "month")
            async with self.pool.connection() as conn:
                gone = await shops.rows(
                    self.pool, "SELECT * FROM usage_log WHERE date_trunc('month', created_at, 'UTC') = %(at)s", at=month
                )
                if await usage_partitions.sql.drop(conn, month=month) is not None:
                    self.dropped += gone

        if not self.held:
            self.do(dropped())

    @invariant()
    def it_equals_a_recount(self) -> None:
        async def looked() -> None:
            async with db.snapshot(self.pool) as conn:
                await is_exact(conn, self.dropped)

        if hasattr(self, "sold"):
            self.do(looked())

    def teardown(self) -> None:
        for conn, _ in self.held:
            self.do(conn.close())
        self.do(self.stack.aclose())
        self.runner.close()
        super().teardown()


History.TestCase.settings = settings(
    max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.usefixtures("own_database")
class TestHistory(History.TestCase):
    """The state machine above."""


async def change(pool: db.Pool, statement: str, *parameters: object) -> None:
    async with pool.connection() as conn:
        await conn.execute(statement.encode(), parameters)


async def test_a_commit_that_is_late_is_counted(pool: db.Pool, sold: versions.Version) -> None:
    """A transaction stays open across a rollup: neither waits for the other, nor do others that log the same hour.

    When it commits, the watermark falls back to its hour at once, and the next rollup counts it.
    """
    async with AsyncExitStack() as stack:
        late = await stack.enter_async_context(await db.connect())
        await late.set_autocommit(False)
        await histories.sell(late, sold, NOON, histories.Ending())
        async with asyncio.timeout(5), pool.connection() as conn:
            await histories.sell(conn, sold, NOON, histories.FAILED)
        async with asyncio.timeout(5):
            await usage_rollup.roll_up(pool)

        assert await is_exact_now(pool) == set()
        before = await calls(pool)
        await late.commit()

    assert await is_exact_now(pool) == {("hour", NOON)}
    async with pool.connection() as conn:
        watermarks = [await usage_rollup.watermark(conn, span) for span in ("hour", "day", "month")]
    assert watermarks == [NOON, NOON.replace(hour=0), NOON.replace(day=1, hour=0)]
    await usage_rollup.roll_up(pool)
    assert await is_exact_now(pool) == set()
    assert (before, await calls(pool)) == (1, 2)


async def test_the_present_is_not_below_the_watermark(pool: db.Pool) -> None:
    """Unmarked periods are exact; a period that has not ended cannot be final."""
    async with pool.connection() as conn:
        assert await usage_rollup.watermark(conn, "hour") == start(datetime.now(UTC), "hour")


async def test_many_count_and_log_at_once(pool: db.Pool, sold: versions.Version) -> None:
    """Loggers and three concurrent rollups over the same hours: in the end every row is counted once."""

    async def log(number: int) -> None:
        async with pool.connection() as conn:
            await histories.sell(conn, sold, NOON + timedelta(hours=number % 3), histories.Ending(), paid=False)

    await asyncio.gather(
        *(log(number) for number in range(40)),
        *(usage_rollup.roll_up(pool) for _ in range(3)),
        *(log(number) for number in range(40)),
    )
    await is_exact_now(pool)
    await usage_rollup.roll_up(pool)

    assert await is_exact_now(pool) == set()
    assert await calls(pool) == 80


async def test_it_is_not_over_before_days_and_months_are(pool: db.Pool, sold: versions.Version) -> None:
    """With all hours counted it is at 99 percent; 100 percent is reported once, last, when the months agree."""
    async with pool.connection() as conn:
        for day in range(3):
            await histories.sell(conn, sold, NOON - timedelta(days=day), histories.Ending())
    told: list[tuple[float, int]] = []

    async def hear(progress: usage_rollup.Progress) -> None:
        (row,) = await shops.rows(
            pool, "SELECT coalesce(sum(calls), 0) AS calls FROM usage_rollup WHERE span = 'month'"
        )
        told.append((progress.percent, int(row.calls)))

    await usage_rollup.roll_up(pool, hear)

    assert told == [(0, 0), (33, 0), (66, 0), (99, 0), (100, 3)]


async def test_a_repeated_or_stopped_rollup_changes_nothing(pool: db.Pool, sold: versions.Version) -> None:
    """A complete recount, a second one, and a rollup that is stopped in between give the same counts."""
    async with pool.connection() as conn:
        for day in range(3):
            await histories.sell(conn, sold, NOON - timedelta(days=day), histories.Ending())
    told: list[usage_rollup.Progress] = []

    async def stop(progress: usage_rollup.Progress) -> None:
        told.append(progress)
        if progress.hours:
            raise KeyError

    with pytest.raises(KeyError):
        await usage_rollup.roll_up(pool, stop)
    await is_exact_now(pool)
    for _ in range(2):
        async with pool.connection() as conn:
            await usage_rollup.mark(conn, NOON - timedelta(days=900))
        await usage_rollup.roll_up(pool)

    assert told[0] == usage_rollup.Progress(0, 3)
    assert await is_exact_now(pool) == set()
    assert await calls(pool) == 3


async def calls(pool: db.Pool) -> int:
    """The number of calls in all months."""
    ((found,),) = await shops.rows(pool, "SELECT sum(calls)::integer FROM usage_rollup WHERE span = 'month'")
    return int(found)
