"""Sends: the record of each, the bytes that are sent again, and the true cost of a round."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest

from core import db
from core.executions import sends, steps
from core.failures import ExecutionFailed
from core.providers import usage as provider_usage
from core.providers.request import Prompt
from core.resources import versions
from core.secrets.vault import vault
from core.spend import reservations
from tests import callers, orders, shops

UNKNOWN = ExecutionFailed("generation_timeout", "provider", "provider_504", resend=True)


@dataclass
class Call:
    """A claimed execution, about to be sent."""

    pool: db.Pool
    sold: versions.Version
    order: steps.Order
    zdr: bool = False

    @property
    def prompt(self) -> Prompt:
        return replace(callers.PROMPT, execution_id=self.order.id, round=self.order.round, zdr=self.zdr)

    async def begin(self) -> sends.Send:
        return await sends.begin(
            self.pool,
            self.prompt,
            account_id=self.order.account_id,
            attempt_id=self.order.attempt_id,
            worst_cost_usd=self.sold.worst_cost_usd,
        )

    async def finish(self, sent: sends.Send, outcome: str, **used: Any) -> None:
        async with self.pool.connection() as conn:
            await sends.finish(conn, [sends.Ended(sent, outcome, provider_usage.Usage(**used))])

    async def rest(self, trouble: ExecutionFailed = UNKNOWN) -> None:
        await orders.finish(self.pool, self.order, trouble)

    async def rows(self, columns: str) -> list[tuple[Any, ...]]:
        query = f"SELECT {columns} FROM sends WHERE execution_id = %(id)s ORDER BY round, number"  # noqa: S608 - ours
        return [tuple(row) for row in await shops.rows(self.pool, query, id=self.order.id)]

    async def books(self) -> tuple[Decimal, Decimal, Decimal | None]:
        """Reserved and spent amounts of its creator's day, and the logged cost."""
        query = """
            SELECT reserved_usd, spent_usd, (SELECT cost_usd FROM usage_log WHERE execution_id = %(id)s) FROM spend_days
            """
        ((reserved, spent, logged),) = await shops.rows(self.pool, query, id=self.order.id)
        return reserved, spent, logged


@pytest.fixture
async def call(own_database: str) -> AsyncIterator[Call]:
    async with db.pool() as pool:
        sold = await orders.version(pool, calls_a_day=2)
        launcher = await orders.hire(pool)
        (order,) = await orders.begin(pool, launcher, await orders.queue(pool, sold))
        yield Call(pool, sold, order)


async def test_a_send_is_recorded_before_it_leaves(call: Call) -> None:
    """Number, sealed bytes and the generation's id are stored before the send's outcome is known."""
    sent = await call.begin()
    await sends.note(call.pool, sent, "gen-1")

    ((number, attempt_id, sealed, generation_id, outcome, cost, latin, other),) = await call.rows(
        "number, attempt_id, sealed_request, generation_id, outcome, cost_usd, latin_characters, other_characters"
    )
    assert (latin, other) == (sum(len(str(turn["content"])) for turn in callers.PROMPT.messages), 0)
    assert (number, attempt_id, generation_id, outcome, cost) == (1, call.order.attempt_id, "gen-1", None, None)
    opened = vault().open(sealed, account=call.order.account_id, column="sends.sealed_request", row=call.order.id)
    assert opened.reveal() == sent.request.reveal()
    assert callers.SECRET.encode() not in sealed


@pytest.mark.parametrize(
    ("outcome", "is_same"),
    [(None, True), ("provider_504", True), ("provider_cut", True), ("provider_503", False), ("provider_empty", False)],
)
async def test_the_same_bytes_only_after_an_unknown_outcome(call: Call, outcome: str | None, is_same: bool) -> None:
    """After an unknown outcome the bytes are identical, so the cache can answer; after a known one the nonce is new."""
    first = await call.begin()
    if outcome:
        await call.finish(first, outcome)
    second = await call.begin()

    assert (second.request.reveal() == first.request.reveal()) is is_same
    assert second.request.reveal() == first.request.reveal().replace(b'"1.1"', b'"1.1"' if is_same else b'"1.2"')


async def test_each_round_asks_anew(call: Call) -> None:
    """A re-run has a new nonce, so the cache does not repeat the bad answer."""
    first = await call.begin()
    call.order = replace(call.order, round=2)
    await shops.rows(
        call.pool, "UPDATE executions SET round = 2, sends = 0 WHERE id = %(id)s RETURNING id", id=call.order.id
    )
    second = await call.begin()
    assert b'"1.1"' in first.request.reveal()
    assert b'"2.1"' in second.request.reveal()


async def test_without_a_cache_nothing_is_repeated(call: Call) -> None:
    """With zero data retention there is no cached answer, so a send that may have run is not repeated automatically."""
    call.zdr = True
    sent = await call.begin()
    assert sent.cache_seconds == 0
    assert sends.pause_before_next(sent, UNKNOWN) is None
    assert sends.pause_before_next(replace(sent, cache_seconds=60), UNKNOWN)


async def test_the_bound_holds(call: Call) -> None:
    """The third send of a round is refused and leaves no record."""
    for _ in range(2):
        await call.finish(await call.begin(), "provider_503")
    with pytest.raises(ExecutionFailed, match="send_refused"):
        await call.begin()
    assert len(await call.rows("number")) == 2


async def test_a_second_charge_needs_room_in_the_cap(call: Call) -> None:
    """After a send that may have cost something, the day's cap must have room for both; after a free one, for one."""
    worst = call.sold.worst_cost_usd
    await call.begin()
    await orders.queue(call.pool, call.sold)
    assert (await call.books())[:2] == (2 * worst, 0)
    with pytest.raises(ExecutionFailed, match="spend_cap"):
        await call.begin()
    assert (await call.rows("number"), (await call.books())[:2]) == ([(1,)], (2 * worst, 0))


async def test_a_second_charge_needs_room_in_the_resources_own_cap(call: Call) -> None:
    """The same for the cap of the prompt."""
    cap = "UPDATE resources SET daily_spend_cap_usd = %(cap)s RETURNING id"
    await shops.rows(call.pool, cap, cap=2 * call.sold.worst_cost_usd - Decimal("1e-12"))
    await call.begin()
    with pytest.raises(ExecutionFailed, match="resource_spend_cap"):
        await call.begin()
    assert (await call.rows("number"), (await call.books())[:2]) == ([(1,)], (call.sold.worst_cost_usd, 0))


async def test_a_free_failure_sets_nothing_more_aside(call: Call) -> None:
    """After a send that certainly was free, room for one call is enough."""
    await orders.queue(call.pool, call.sold)
    await call.finish(await call.begin(), "provider_503")
    assert (await call.begin()).number == 2


async def test_a_round_costs_what_its_sends_cost(call: Call) -> None:
    """Free, then charged: the sum replaces the reservation, and the usage row agrees."""
    await call.finish(await call.begin(), "provider_503")
    await call.finish(await call.begin(), "provider_truncated", cost_usd=Decimal("0.0001"), generation_id="gen-2")
    await call.rest(ExecutionFailed("resource_unavailable", "creator", "provider_truncated"))

    assert await call.books() == (0, Decimal("0.0001"), Decimal("0.0001"))
    assert await call.rows("cost_usd, sealed_request") == [(0, None), (Decimal("0.0001"), None)]


@pytest.mark.usefixtures("credit")
async def test_credit_is_spent_with_its_fee_and_logged_as_billed(call: Call) -> None:
    """What buying the credit costs is spent too, and so is in the margin; the log keeps what was billed."""
    await call.finish(await call.begin(), "succeeded", cost_usd=Decimal("0.0002"))
    await call.rest()

    assert await call.books() == (0, Decimal("0.000211"), Decimal("0.0002"))
    query = "SELECT spent_usd FROM usage_log WHERE execution_id = %(id)s"
    assert [tuple(row) for row in await shops.rows(call.pool, query, id=call.order.id)] == [(Decimal("0.000211"),)]


async def test_what_nobody_knows_counts_at_its_worst(call: Call) -> None:
    """One unknown cost of two: logged as unknown and spent at the worst case, and corrected when the cost is known."""
    first = await call.begin()
    await call.finish(first, "provider_504")
    await call.finish(await call.begin(), "succeeded", cost_usd=Decimal("0.0001"))
    await call.rest()
    worst = call.sold.worst_cost_usd
    assert await call.books() == (0, worst + Decimal("0.0001"), None)

    await shops.rows(call.pool, "UPDATE sends SET cost_usd = 0.0002 WHERE number = 1 RETURNING number")
    async with call.pool.connection() as conn:
        await reservations.replace_by_cost(conn, [(call.order.id, 1)])
        await reservations.replace_by_cost(conn, [(call.order.id, 1)])
    assert await call.books() == (0, Decimal("0.0003"), Decimal("0.0003"))


async def test_a_late_end_corrects_the_books(call: Call) -> None:
    """The send of an attempt that was taken over ends after its round: its cost counts, its outcome changes nothing."""
    first = await call.begin()
    await call.finish(await call.begin(), "succeeded", cost_usd=Decimal("0.0001"))
    await call.rest()
    async with call.pool.connection() as conn:
        await sends.finish(conn, [sends.Ended(first, "succeeded", provider_usage.Usage(cost_usd=Decimal("0.0004")))])
        await reservations.replace_by_cost(conn, [(call.order.id, 1)])
    assert await call.books() == (0, Decimal("0.0005"), Decimal("0.0005"))


async def test_an_end_is_told_once(call: Call) -> None:
    """A second end of the same send changes nothing."""
    sent = await call.begin()
    await call.finish(sent, "succeeded", cost_usd=Decimal("0.0001"), generation_id="gen-1")
    await call.finish(sent, "provider_cut")
    assert await call.rows("outcome, cost_usd, generation_id") == [("succeeded", Decimal("0.0001"), "gen-1")]


async def test_a_stored_answer_names_its_source(call: Call) -> None:
    """The first send died before its headers: the second is free, and names the generation whose cost is unknown."""
    await call.begin()
    second = await call.begin()
    await call.finish(second, "succeeded", cost_usd=Decimal(0), generation_id="gen-2", source_id="gen-1")
    assert await call.rows("generation_id, cost_usd") == [("gen-1", None), ("gen-2", 0)]


async def test_what_failed_after_tokens_were_spent_is_marked(call: Call) -> None:
    """It is logged as charged, with its cause and worst-case cost, and as not charged once it turns out to be free."""
    await call.finish(await call.begin(), "provider_504")
    await call.rest()
    query = "SELECT detail, charged, spent_usd, cost_usd FROM usage_log WHERE execution_id = %(id)s"
    before = await shops.rows(call.pool, query, id=call.order.id)
    await shops.rows(call.pool, "UPDATE sends SET cost_usd = 0 RETURNING number")
    async with call.pool.connection() as conn:
        await reservations.replace_by_cost(conn, [(call.order.id, 1)])

    assert [tuple(row) for row in before] == [("provider_504", True, call.sold.worst_cost_usd, None)]
    assert [tuple(row) for row in await shops.rows(call.pool, query, id=call.order.id)] == [
        ("provider_504", False, 0, 0)
    ]


async def test_what_was_never_sent_cost_nothing(call: Call) -> None:
    """A round without a send has a known cost of 0: the day has nothing reserved and nothing spent."""
    await call.rest(ExecutionFailed("internal_error", "ours", "sealed_value_unreadable"))
    assert await call.books() == (0, 0, 0)


async def test_a_round_that_runs_is_not_settled(call: Call) -> None:
    """Until a round has ended its reservation stands, whoever settles it."""
    await call.finish(await call.begin(), "succeeded", cost_usd=Decimal("0.0001"))
    async with call.pool.connection() as conn:
        await reservations.replace_by_cost(conn, [(call.order.id, 1)])
    assert await call.books() == (call.sold.worst_cost_usd, 0, None)
