"""The rules of notices: thresholds from both sides, on rolled-up usage rows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core import db
from core.accounts import provider_keys
from core.executions import steps
from core.notices import addresses, messages
from core.notices import rules as notice_rules
from core.payments import refunds as payment_refunds
from core.providers.errors import provider_failure
from core.providers.registry import ANTHROPIC
from core.resources import readiness, versions
from core.secrets.private import Private
from tests import orders, selling, shops
from tests.past import Calls, happened

NOW = datetime.now(UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
YESTERDAY = TODAY - timedelta(hours=24)
A_WEEK = [YESTERDAY - timedelta(hours=24 * ago) for ago in range(1, 8)]
CREDIT: dict[str, Any] = {"outcome": "failed", "detail": "provider_402", "fault": "creator", "cost_usd": None}
SLOW: dict[str, Any] = {
    "outcome": "failed",
    "detail": "provider_timeout",
    "fault": "provider",
    "cost_usd": None,
    "spent_usd": "0.02",
}
REFUSED: dict[str, Any] = {"outcome": "declined", "detail": "provider_refused", "fault": "buyer"}


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@pytest.fixture
async def sold(pool: db.Pool) -> versions.Version:
    return await orders.version(pool)


async def found(pool: db.Pool) -> list[Any]:
    """Run the rules once; return the rule and facts of each notice."""
    async with pool.connection() as conn:
        await notice_rules.record_findings(conn)
    return await shops.rows(pool, "SELECT rule, facts, account_id, resource_id FROM notices ORDER BY found_at, rule")


@pytest.mark.parametrize(
    ("succeeded", "failed", "declined", "is_told"),
    [(3, 2, 0, True), (2, 2, 0, False), (7, 3, 0, False), (69, 31, 0, True), (2, 2, 9, False), (0, 5, 9, True)],
)
async def test_low_success(
    pool: db.Pool, sold: versions.Version, succeeded: int, failed: int, declined: int, is_told: bool
) -> None:
    """A notice follows from five calls or more in thirty days with under 70 % success; buyers' faults do not count."""
    await happened(
        pool,
        sold,
        [Calls(NOW, succeeded), Calls(NOW - timedelta(days=20), failed, **CREDIT), Calls(NOW, declined, **REFUSED)],
    )

    told = [row for row in await found(pool) if row.rule == "success_low"]

    assert bool(told) is is_told
    if told:
        assert told[0].facts["causes"] == [{"detail": "provider_402", "fault": "creator", "calls": failed}]
        message = messages.message_for("success_low", "ada", "haiku", told[0].facts, to_operator=False)
        assert f"{succeeded} of {succeeded + failed} paid calls" in message.body
        assert "out of credit" in message.body


async def test_old_and_free_failures_do_not_count(pool: db.Pool, sold: versions.Version) -> None:
    """Calls of more than thirty days ago, owners' tests and archived prompts do not count either."""
    await happened(pool, sold, [Calls(NOW - timedelta(days=32), 20, **CREDIT)])
    await happened(pool, sold, [Calls(NOW - timedelta(days=5), 20, **CREDIT)], kind="test")
    assert [row for row in await found(pool) if row.rule == "success_low"] == []
    await happened(pool, sold, [Calls(NOW - timedelta(days=5), 20, **CREDIT)])
    async with pool.connection() as conn:
        await versions.archive(conn, sold.account_id, sold.slug)

    assert [row for row in await found(pool) if row.rule == "success_low"] == []


@pytest.mark.parametrize(("charged", "free", "is_told"), [(1, 8, True), (1, 9, False), (4, 0, False), (5, 0, True)])
async def test_charged_failures(pool: db.Pool, sold: versions.Version, charged: int, free: int, is_told: bool) -> None:
    """A notice follows when over a tenth of five or more failures was charged; declined calls are no failures."""
    await happened(
        pool, sold, [Calls(NOW, charged, **SLOW), Calls(NOW, free, **CREDIT), Calls(NOW, 99), Calls(NOW, 9, **REFUSED)]
    )

    told = [row for row in await found(pool) if row.rule == "failures_charged"]

    assert bool(told) is is_told
    if told:
        facts = told[0].facts
        assert (facts["charged"], facts["failed"]) == (charged, charged + free)
        assert Decimal(facts["spent_usd"]) == charged * Decimal(SLOW["spent_usd"])


@pytest.mark.parametrize(
    ("days", "usual", "yesterday", "is_told"),
    [
        (A_WEEK, "0.001", "0.004", True),
        (A_WEEK, "0.001", "0.003", False),
        (A_WEEK[1:], "0.001", "0.004", False),
        ([], "0.001", "0.004", False),
    ],
)
async def test_unusual_cost(
    pool: db.Pool, sold: versions.Version, days: list[datetime], usual: str, yesterday: str, is_told: bool
) -> None:
    """The cost must be three times the usual and higher than ever before, with at least a week of days to compare."""
    await happened(pool, sold, [Calls(day, 10, cost_usd=usual) for day in days])
    await happened(pool, sold, [Calls(YESTERDAY, 5, cost_usd=yesterday), Calls(NOW, 50, cost_usd="1")])

    told = [row for row in await found(pool) if row.rule == "cost_unusual"]

    assert bool(told) is is_told
    if told:
        assert told[0].resource_id == sold.resource_id
        message = messages.message_for("cost_unusual", "ada", "haiku", told[0].facts, to_operator=False)
        assert "a call cost $0.004 on average, over 5 calls" in message.body
        assert "$0.001 usually" in message.body


async def test_a_dear_day_before_makes_another_usual(pool: db.Pool, sold: versions.Version) -> None:
    """A cost that an earlier day reached is not unusual."""
    await happened(pool, sold, [Calls(day, 10, cost_usd="0.001") for day in A_WEEK[1:]])
    await happened(pool, sold, [Calls(A_WEEK[0], 10, cost_usd="0.005"), Calls(YESTERDAY, 10, cost_usd="0.005")])

    assert [row for row in await found(pool) if row.rule == "cost_unusual"] == []


@pytest.mark.parametrize(
    ("before", "yesterday", "more"),
    [
        ([5] * 7, 20, True),
        ([5] * 7, 19, None),
        ([7] * 7, 21, None),
        ([5] * 6 + [25], 24, None),
        ([30] * 7, 9, False),
        ([30] * 7, 10, None),
        ([30] * 7, 0, False),
        ([5] * 6, 99, None),
        ([40, 0, 0, 0, 0, 0, 40], 41, True),
    ],
)
async def test_unusual_calls(
    pool: db.Pool, sold: versions.Version, before: list[int], yesterday: int, more: bool | None
) -> None:
    """Far more or far fewer calls on a creator's key than on any day before; days without calls count as such."""
    days = [YESTERDAY - timedelta(hours=24 * (number + 1)) for number in range(len(before))]
    past = [Calls(day, number) for day, number in zip(days, before, strict=True)]
    await happened(pool, sold, [*past, Calls(YESTERDAY, yesterday)])

    told = [row for row in await found(pool) if row.rule == "calls_unusual"]

    assert bool(told) is (more is not None)
    if told:
        assert (told[0].account_id, told[0].resource_id) == (sold.account_id, None)
        message = messages.message_for("calls_unusual", "ada", None, told[0].facts, to_operator=False)
        assert ("far more" if more else "far fewer") in message.title


async def test_keys(pool: db.Pool, practice_openrouter: str) -> None:
    """A key that is rejected, refused thrice in a day, near its limit, or out of credit; each text says what to do."""
    told = {}
    for change, calls in {
        "rejected_at = now()": [],
        "label = label": [Calls(NOW, 3, **CREDIT | {"detail": "provider_403"})],
        "limit_remaining_usd = 0.0001": [],
        "enabled = enabled": [Calls(NOW, 1, **CREDIT)],
        "limit_remaining_usd = 100": [Calls(NOW, 2, **CREDIT | {"detail": "provider_401"})],
    }.items():
        shop = await shops.open_shop(pool)
        await shops.rows(
            pool,
            f"UPDATE provider_keys SET {change}, created_at = %(at)s WHERE account_id = %(id)s RETURNING id",  # noqa: S608
            id=shop.account.id,
            at=NOW - timedelta(hours=1),
        )
        await happened(pool, await shop.version(pool), calls)
        told[change] = shop.account.id

    rows = await found(pool)

    assert {(row.rule, row.account_id) for row in rows} == {
        ("key_failing", told["rejected_at = now()"]),
        ("key_failing", told["label = label"]),
        ("key_low", told["limit_remaining_usd = 0.0001"]),
        ("key_low", told["enabled = enabled"]),
    }
    said = [messages.message_for(row.rule, "ada", None, row.facts, to_operator=False) for row in rows]
    assert all("https://openrouter.ai" in one.body or "OpenRouter" in one.title for one in said)


@pytest.mark.parametrize(("refunds", "is_told"), [(2, False), (3, True)])
async def test_many_refunds_of_one_wallet(pool: db.Pool, sold: versions.Version, refunds: int, is_told: bool) -> None:
    """From three refunds to one wallet at one resource; the notice names the wallet, the sum and the causes."""
    worker_id = await orders.hire(pool)
    ids = [await orders.pay(pool, sold, worker_id) for _ in range(refunds + 1)]
    for order in await orders.begin(pool, worker_id, ids):
        async with pool.connection() as conn:
            await steps.fail(conn, order, provider_failure("provider_truncated"))
    wallet = "0x" + "ab" * 20
    await shops.rows(
        pool,
        "UPDATE payments SET payer = %(payer)s WHERE id IN"
        " (SELECT payment_id FROM executions WHERE id = ANY(%(ids)s)) RETURNING id",
        payer=wallet,
        ids=ids[1:],
    )
    await shops.rows(pool, "UPDATE executions SET rerun_until = now() RETURNING id")
    async with pool.connection() as conn:
        assert len(await payment_refunds.mark_due(conn)) == refunds + 1

    told = [row for row in await found(pool) if row.rule == "refunds_repeated"]

    assert [row.resource_id for row in told] == [sold.resource_id] * is_told
    if told:
        message = messages.message_for("refunds_repeated", "ada", "haiku", told[0].facts, to_operator=False)
        assert f"the wallet {wallet} was owed its money back for 3 calls" in message.body
        assert "provider_truncated, 3 times" in message.body


async def test_each_provider_by_itself(pool: db.Pool, practice_openrouter: str) -> None:
    """A refusal by one provider concerns its key only, and does not silence a later refusal by another."""
    shop = await shops.open_shop(pool, ANTHROPIC)
    async with pool.connection() as conn:
        await selling.add_model(conn, id=shops.MODEL)
    await provider_keys.set_key(pool, shop.account.id, Private(f"sk-or-v1-practice-{shop.account.handle}"))
    await shop.publish(pool, slug="other", model=shops.MODEL)
    await shops.rows(
        pool,
        "UPDATE provider_keys SET created_at = %(at)s WHERE account_id = %(id)s RETURNING id",
        id=shop.account.id,
        at=NOW - timedelta(hours=1),
    )
    await happened(pool, await shop.version(pool), [Calls(NOW, 1, **CREDIT)])
    (first,) = await found(pool)
    said = messages.message_for(first.rule, "ada", None, first.facts, to_operator=False)
    assert (first.rule, first.facts["provider"], said.title) == (
        "key_low",
        "anthropic",
        "@ada: your Anthropic credit is used up",
    )

    async with pool.connection() as conn:
        other = await readiness.resolve(conn, shop.account.handle, "other")
    await happened(pool, other, [Calls(NOW, 1, **CREDIT)])
    assert [row.facts["provider"] for row in await found(pool)] == ["anthropic", "openrouter"]
    assert len(await found(pool)) == 2


async def test_once_a_week(pool: db.Pool, sold: versions.Version) -> None:
    """However many processes look; the notice is repeated after a week, and another creator's is sent at once."""
    await happened(pool, sold, [Calls(NOW, 9, **CREDIT)])
    await asyncio.gather(*(found(pool) for _ in range(5)))
    assert [row.rule for row in await found(pool)] == ["success_low"]

    other = await orders.version(pool)
    await happened(pool, other, [Calls(NOW, 9, **CREDIT)])
    assert {row.account_id for row in await found(pool)} == {sold.account_id, other.account_id}

    await shops.rows(pool, "UPDATE notices SET found_at = found_at - interval '7 days 1 second' RETURNING id")
    assert len(await found(pool)) == 4
    assert len(await found(pool)) == 4


async def test_who_is_told(pool: db.Pool, sold: versions.Version) -> None:
    """A notice goes to the operator and its creator, at their own addresses; other creators neither get nor see it."""
    other = await orders.version(pool)
    for account_id, name in ((None, "operator"), (sold.account_id, "mine"), (other.account_id, "theirs")):
        await addresses.add(pool, account_id, Private("json://example.org/x"), name)
    await happened(pool, sold, [Calls(NOW, 9, **CREDIT)])
    await found(pool)

    async with pool.connection() as conn:
        ((mine,), (every,), none) = [
            [row.deliveries for row in await notice_rules.listing(conn, account_id, 9)]
            for account_id in (sold.account_id, None, other.account_id)
        ]
    assert [one["name"] for one in mine] == ["mine"]
    assert {one["name"] for one in every} == {"operator", "mine"}
    assert none == []
