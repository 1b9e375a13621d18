"""Answers of every kind in a running door: one result form, or a named failure."""

from collections import Counter
from pathlib import Path

import pytest

from core import db
from core.executions import views as execution_views
from tests import orders, shops
from tests.shops import Shop

pytestmark = pytest.mark.usefixtures("door")

ALWAYS = {"response", "modality", "usage"}

# behaviour -> the outcome, and the members of its result beyond those of every result
BEHAVIOURS: dict[str, tuple[str, str]] = {
    "parts": ("succeeded", ""),
    "reasoning": ("succeeded", ""),
    "drip:0.5": ("succeeded", ""),
    "audio": ("succeeded", "audio files"),
    "citations": ("succeeded", "citations"),
    "refusal": ("provider_refused", ""),
    "empty": ("provider_empty", ""),
    "truncated": ("provider_truncated", ""),
    "reasoning_only": ("provider_reasoning_only", ""),
    "tool_call": ("provider_tool_call", ""),
}


async def test_ten_behaviours_in_one_batch(surroundings: Path, shop: Shop) -> None:
    """Each ends as its kind must, whatever else is in the batch, and its cost is known."""
    await shop.openrouter(latency_seconds=0.05, faults=list(BEHAVIOURS))
    async with db.pool() as pool:
        sold = await shop.version(pool)
        async with pool.connection() as conn:
            await conn.execute("UPDATE accounts SET slots = 10 WHERE id = %s", [shop.account.id])
            await orders.create(conn, sold, len(BEHAVIOURS))
        ended = await shops.at_rest(pool, shop)
        costs = await shops.rows(
            pool, "SELECT cost_usd FROM usage_log WHERE account_id = %(id)s AND sends = 1", id=shop.account.id
        )

    seen: Counter[tuple[str, str]] = Counter()
    for row in ended:
        more = set()
        if row.state == "succeeded":
            result = execution_views.open_result(row)
            assert result.keys() >= ALWAYS
            assert str(result["response"]).strip()
            more = result.keys() - ALWAYS
        seen[row.detail or row.state, " ".join(sorted(more))] += 1
    assert seen == Counter(BEHAVIOURS.values())
    assert len([row for row in costs if row.cost_usd > 0]) == len(BEHAVIOURS)
