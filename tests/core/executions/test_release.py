"""What happens to an answer that gives its template away: delivered and counted, or withheld; and who pays for that."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from core import db
from core.accounts import accounts, provider_keys
from core.executions import lifecycle, steps
from core.executions import views as execution_views
from core.failures import ExecutionFailed
from core.notices import messages, rules
from core.providers.registry import OPENROUTER
from core.reporting import report as usage_report
from core.reporting import rollup as usage_rollup
from core.resources import readiness, versions
from core.secrets.private import Private
from core.spend import usage_log
from tests import orders, selling, shops

MODEL = "openai/gpt-5-mini"
TEMPLATE = (
    "You are a marine biologist who writes for children. Explain in three short sentences how this animal of the sea "
    "hunts, sleeps and raises its young, and close with a riddle about it: {topic}{/topic}"
)
LEAKS, OVERLAPS = "obeys:base64", "obeys:own_part"


@dataclass(frozen=True)
class Market:
    """A creator who sells, with a key of their own at the practice provider."""

    pool: db.Pool
    owner: accounts.Account
    shop: shops.Shop

    async def sold(self, **changes: object) -> versions.Version:
        async with self.pool.connection() as conn:
            published = await selling.publish(conn, self.owner, model=MODEL, template=TEMPLATE, **changes)
            return await versions.version(conn, published.version_id)

    async def call(self, sold: versions.Version, *faults: str) -> UUID:
        """Buy it, send as the flow does until it is over, and log it."""
        await self.shop.openrouter(latency_seconds=0, faults=faults)
        worker = await orders.hire(self.pool)
        execution_id = await orders.pay(self.pool, sold, worker)
        taken = await orders.begin(self.pool, worker, [execution_id])
        async with self.pool.connection() as conn:
            (prepared,) = await steps.substitute(conn, await steps.decrypt(conn, taken))
        for _ in range(prepared.most_sends):
            try:
                await steps.call(self.pool, prepared)
            except ExecutionFailed as failure:
                if failure.resend:
                    continue
            break
        async with self.pool.connection() as conn:
            await usage_log.append(conn, [execution_id])
        return execution_id

    async def row(self, execution_id: UUID) -> Any:
        query = "SELECT state, fault, code, detail, leak, sends FROM executions WHERE id = %(id)s"
        (row,) = await shops.rows(self.pool, query, id=execution_id)
        return tuple(row)

    async def answer(self, execution_id: UUID) -> str:
        async with self.pool.connection() as conn:
            row = db.required(await execution_views.read(conn, execution_id))
        return str(execution_views.open_result(row)["response"])


@pytest.fixture
async def market(own_database: str, practice_openrouter: str) -> AsyncIterator[Market]:
    async with db.pool() as pool:
        async with pool.connection() as conn:
            owner = await selling.creator(conn)
            await selling.add_model(conn, id=MODEL)
        key = f"sk-or-v1-practice-{owner.handle}"
        await provider_keys.set_key(pool, owner.id, Private(key), OPENROUTER)
        yield Market(pool, owner, shops.Shop(owner, "", key, "", ""))


async def test_block_withholds(market: Market) -> None:
    """With our canary it is the buyer's fault. A long repetition is asked for once more, then owed and counted."""
    sold = await market.sold(prompt_shield="block")

    declined = await market.call(sold, LEAKS)
    assert await market.row(declined) == ("declined", "buyer", "content_filtered", "withheld_canary", None, 1)
    failed = await market.call(sold, OVERLAPS, OVERLAPS)
    assert await market.row(failed) == ("failed", "creator", "resource_unavailable", "withheld_overlap", None, 2)
    mended = await market.call(sold, OVERLAPS)
    assert await market.row(mended) == ("succeeded", None, None, None, None, 2)

    bounded = await shops.rows(market.pool, "SELECT execution_id FROM refundable_failures")
    assert [row.execution_id for row in bounded] == [failed]
    async with market.pool.connection() as conn:
        assert not await lifecycle.rerun(conn, declined)
        assert await lifecycle.rerun(conn, failed)


async def test_watch_delivers_and_counts(market: Market) -> None:
    """The buyer gets the answer, and the creator learns of it. An honest answer has nothing to say."""
    sold = await market.sold(prompt_shield="watch")

    ids = [await market.call(sold, *faults) for faults in ([LEAKS], [OVERLAPS], [])]
    assert [await market.row(one) for one in ids] == [
        ("succeeded", None, None, None, leak, 1) for leak in ("canary", "overlap", None)
    ]
    assert await market.answer(ids[1]) == TEMPLATE.replace("{topic}{/topic}", "the sea")


async def test_off_sends_the_template_alone(market: Market) -> None:
    """Nothing is added to the prompt, and nobody looks at the answer."""
    sold = await market.sold(prompt_shield="off")

    execution_id = await market.call(sold, "obeys:verbatim")
    assert await market.answer(execution_id) == TEMPLATE.replace("{topic}{/topic}", "the sea")
    assert (await market.row(execution_id))[4] is None


async def test_what_the_creator_and_the_buyers_learn(market: Market) -> None:
    """Counted in the usage, in the product's offer, and told by a notice."""
    sold = await market.sold(prompt_shield="watch")
    await market.call(sold, OVERLAPS)
    sold = await market.sold(prompt_shield="block")
    for faults in ([LEAKS], [OVERLAPS, OVERLAPS], [], []):
        await market.call(sold, *faults)

    await usage_rollup.roll_up(market.pool)
    async with market.pool.connection() as conn:
        found = await usage_report.report(conn, market.owner.id, since=datetime.now(UTC).date())
        assert found.total
        assert (found.total.calls, found.total.watched, found.total.withheld) == (5, 1, 2)
        offered = await readiness.resolve(conn, market.owner.handle, "haiku")
        assert (offered.shielded_calls, offered.withheld_calls) == (4, 2)
        await rules.record_findings(conn)
        (notice,) = [one for one in await rules.listing(conn, market.owner.id, 10) if one.rule == "prompt_leaking"]
    assert notice.facts == {"days": 7, "canaries": 1, "overlaps": 2, "withheld": 2, "shield": "block"}
    message = messages.message_for("prompt_leaking", "ada", "haiku", notice.facts, to_operator=False)
    assert message.title == "/@ada/haiku: 3 answers gave its template away"
    assert "put those in quotation marks" in message.body
