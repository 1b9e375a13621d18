"""The rules about a creator's spending and buyers: thresholds from both sides, each told once in its period."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core import db
from core.accounts import accounts
from core.notices import addresses, messages, webhooks
from core.notices import rules as notice_rules
from core.secrets.private import Private
from tests import histories, orders, shops
from tests.histories import Ending
from tests.past import Calls, happened

NOW = datetime.now(UTC)
BUSY = Ending("failed", "provider", "provider_429", None, cost_usd=None, spent_usd=Decimal(0), tokens=None)


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


async def found(pool: db.Pool, rule: str) -> list[Any]:
    """Run the rules twice; return what one of them found, each with its message."""
    async with pool.connection() as conn:
        for _ in range(2):
            await notice_rules.record_findings(conn)
        rows = await notice_rules.listing(conn, None, 99)
    told = [row for row in rows if row.rule == rule]
    for row in told:
        message = messages.message_for(row.rule, row.handle, row.slug, row.facts, to_operator=False)
        assert message.title
        assert "{" not in message.body.replace("{slug}", "").replace('{"weeklyDigest": false}', "")
    return told


@pytest.mark.parametrize("limit", ["calls_a_day", "own_calls_a_day", "calls_a_month", "own_calls_a_month"])
async def test_caps(pool: db.Pool, limit: str) -> None:
    """At 80 % and when nothing more fits, once for each cap and period; the second is a pause for webhooks."""
    sold = await orders.version(pool, **{limit: 10})
    async with pool.connection() as conn:
        await webhooks.add(conn, sold.account_id, "https://example.org/hook")
    await orders.queue(pool, sold, 7)
    assert await found(pool, "cap_reached") == []
    await orders.queue(pool, sold, 1)
    (near,) = await found(pool, "cap_reached")
    assert (near.facts["percent"], near.slug) == (80, "haiku" if "own" in limit else None)
    assert near.facts["period"] == limit.rpartition("_")[2]
    await orders.queue(pool, sold, 2)
    full, _ = sorted(await found(pool, "cap_reached"), key=lambda row: -row.facts["percent"])

    assert full.facts["percent"] == 100
    assert Decimal(full.facts["used_usd"]) == Decimal(full.facts["cap_usd"]) == 10 * sold.worst_cost_usd
    until = date.fromisoformat(full.facts["until"])
    assert until == NOW.date() + timedelta(days=1) if "day" in limit else until.day == 1
    queued = await shops.rows(pool, "SELECT event FROM notice_deliveries")
    assert [row.event for row in queued] == ["product.paused"]


async def test_a_call_that_became_too_dear(pool: db.Pool) -> None:
    """A cap of one call below today's worst case is told with both numbers."""
    sold = await orders.version(pool)
    await shops.rows(pool, "UPDATE resources SET most_per_call_usd = 1 RETURNING id")
    assert await found(pool, "call_too_dear") == []
    await shops.rows(pool, "UPDATE resources SET most_per_call_usd = 0.000001 RETURNING id")
    (told,) = await found(pool, "call_too_dear")
    assert (Decimal(told.facts["worst_cost_usd"]), told.facts["cap_usd"]) == (sold.worst_cost_usd, "0.000001")


@pytest.mark.parametrize(("busy", "calls", "is_told"), [(3, 20, True), (2, 20, False), (3, 19, False)])
async def test_429s(pool: db.Pool, busy: int, calls: int, is_told: bool) -> None:
    """More than a tenth of 20 calls or more of a day, also where a repetition succeeded."""
    async with pool.connection() as conn:
        sold = await histories.publish(conn)
        for number in range(calls):
            bought = await histories.sell(conn, sold, NOW, BUSY if number + 1 < busy else Ending())
            if number + 1 == busy:
                await conn.execute("UPDATE sends SET outcome = 'provider_429' WHERE execution_id = %s", [bought])
    told = await found(pool, "refused_often")
    assert [(row.slug, row.facts["refused"]) for row in told] == [("haiku", busy)] * is_told


@pytest.mark.parametrize(
    ("days", "spent", "calls", "is_told"),
    [(7, "2.1", 20, True), (7, "2", 20, False), (6, "2.1", 20, False), (7, "2.1", 19, False)],
)
async def test_a_dear_day(pool: db.Pool, days: int, spent: str, calls: int, is_told: bool) -> None:
    """More than twice the median of a week or more with spending, from 20 calls on."""
    sold = await orders.version(pool)
    await happened(pool, sold, [Calls(NOW, calls)])
    for ago in range(days + 1):
        await shops.rows(
            pool,
            "INSERT INTO spend_days (account_id, day, spent_usd) VALUES (%(id)s, %(day)s, %(usd)s) RETURNING day",
            id=sold.account_id,
            day=NOW.date() - timedelta(days=ago),
            usd=Decimal(1 if ago else spent),
        )
    told = await found(pool, "spend_unusual")
    assert [row.facts["usual_usd"] for row in told] == ["1"] * is_told


@pytest.mark.parametrize(
    ("calls", "others", "is_told"), [(51, 5, True), (50, 5, False), (51, 4, False), (49, 5, False)]
)
async def test_one_payer_above_all(pool: db.Pool, calls: int, others: int, is_told: bool) -> None:
    """More than ten times the mean of five or more other wallets, from 50 calls on; the notice names the wallet."""
    big, mean = "0x" + "cd" * 20, 5
    async with pool.connection() as conn:
        sold = await histories.publish(conn)
        first = await histories.sell(conn, sold, NOW, Ending())
        payers = [big] * (calls - 1) + [f"0x{other:040x}" for other in range(others) for _ in range(mean)]
        await conn.execute("UPDATE payments SET payer = %s", [big])
        # Copies of a real sale: only who paid and when counts here.
        await conn.execute(
            """
            WITH buyers AS (
                SELECT gen_random_uuid() AS payment_id, payer, sha256(CAST(number AS text)::bytea) AS random
                FROM unnest(%(payers)s::text[]) WITH ORDINALITY AS bought (payer, number)
            ), paid AS (
                INSERT INTO payments (id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, version_id,
                    state, transaction, payload_sha256, request_sha256, quoted, sealed_payload, created_at, decided_at)
                SELECT payment_id, network, asset, buyers.payer, random, pay_to, amount_atomic, valid_before,
                    version_id, state, '0x' || encode(random, 'hex'), payload_sha256, request_sha256, quoted,
                    sealed_payload, created_at, decided_at
                FROM buyers CROSS JOIN payments
                RETURNING id
            ), called AS (
                INSERT INTO executions (id, kind, payment_id, account_id, version_id, state, sealed_inputs, created_at,
                    queued_at, finished_at, sealed_result, logged_round)
                SELECT gen_random_uuid(), kind, paid.id, account_id, version_id, state, sealed_inputs, created_at,
                    queued_at, finished_at, sealed_result, logged_round
                FROM paid CROSS JOIN executions WHERE executions.id = %(first)s
                RETURNING id
            )
            INSERT INTO usage_log (execution_id, round, created_at, kind, account_id, version_id, model_id,
                amount_atomic, outcome, sends, spent_usd, total_ms)
            SELECT called.id, round, created_at, kind, account_id, version_id, model_id, amount_atomic, outcome, sends,
                spent_usd, total_ms
            FROM called CROSS JOIN usage_log WHERE usage_log.execution_id = %(first)s
            """,
            {"payers": payers, "first": first},
        )
    told = await found(pool, "payer_unusual")
    assert [(row.facts["payer"], row.facts["calls"]) for row in told] == [(big, calls)] * is_told


@pytest.mark.parametrize(("calls", "cost", "is_told"), [(20, "0.011", True), (19, "0.011", False), (20, "0.01", False)])
async def test_calls_below_cost(pool: db.Pool, calls: int, cost: str, is_told: bool) -> None:
    """From 20 calls in a week on, and not where the creator agreed to a loss."""
    sold = await orders.version(pool)
    await happened(pool, sold, [Calls(NOW, calls, cost_usd=cost)])
    assert bool(await found(pool, "sold_below_cost")) is is_told
    await shops.rows(pool, "DELETE FROM notices RETURNING id")
    await shops.rows(pool, "UPDATE resource_versions SET allows_loss = true RETURNING id")
    assert await found(pool, "sold_below_cost") == []


async def test_the_weekly_digest(pool: db.Pool) -> None:
    """Of the week before, once: sales, cost, margin, failures and what is off sale; not for who does not want it."""
    monday = (NOW - timedelta(days=NOW.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    sold, quiet, off = [await orders.version(pool) for _ in range(3)]
    for one in (sold, off):
        refused = {"outcome": "failed", "detail": "provider_503", "fault": "provider", "cost_usd": None}
        week = [Calls(monday - timedelta(days=3), 4, cost_usd="0.002"), Calls(monday - timedelta(days=7), 1, **refused)]
        await happened(pool, one, [*week, Calls(monday - timedelta(days=8), 9)])
    async with pool.connection() as conn:
        await accounts.set_weekly_digest(conn, off.account_id, False)
    for account_id in (None, sold.account_id):
        await addresses.add(
            pool, account_id, Private("json://127.0.0.1/x"), "operator" if account_id is None else "mine"
        )

    (told,) = await found(pool, "weekly_digest")

    assert told.handle == sold.handle != quiet.handle
    facts = told.facts
    assert (facts["calls"], facts["succeeded"], facts["failed"], facts["revenue_atomic"]) == (5, 4, 1, 50_000)
    assert facts["causes"] == [{"detail": "provider_503", "fault": "provider", "calls": 1}]
    assert facts["off_sale"] == [{"slug": "haiku", "obstacle": "key_missing"}]
    body = messages.message_for(told.rule, told.handle, told.slug, facts, to_operator=False).body
    assert "margin at least $0.042" in body
    assert "haiku (key_missing)" in body
    assert [one["name"] for one in told.deliveries] == ["mine"]
