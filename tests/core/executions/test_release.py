"""What happens to an answer that gives its template away: delivered and counted, or withheld; and who pays for that."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from core import db
from core.executions import lifecycle, release
from core.notices import messages, rules
from core.providers.errors import provider_failure
from core.reporting import report as usage_report
from core.reporting import rollup as usage_rollup
from core.resources import readiness
from tests import shops
from tests.releases import Market, open_market

TEMPLATE = (
    "You are a marine biologist who writes for children. Explain in three short sentences how this animal of the sea "
    "hunts, sleeps and raises its young, and close with a riddle about it: {topic}{/topic}"
)
LEAKS, OVERLAPS = "obeys:base64", "obeys:own_part"


@pytest.fixture
async def market(own_database: str, practice_openrouter: str) -> AsyncIterator[Market]:
    async with db.pool() as pool:
        yield await open_market(pool)


async def test_block_withholds(market: Market) -> None:
    """With our canary it is the buyer's fault. A long repetition is asked for once more, then owed and counted."""
    sold = await market.sold(template=TEMPLATE, prompt_shield="block")

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
    sold = await market.sold(template=TEMPLATE, prompt_shield="watch")

    ids = [await market.call(sold, *faults) for faults in ([LEAKS], [OVERLAPS], [])]
    assert [await market.row(one) for one in ids] == [
        ("succeeded", None, None, None, leak, 1) for leak in ("canary", "overlap", None)
    ]
    assert await market.answer(ids[1]) == TEMPLATE.replace("{topic}{/topic}", "the sea")


async def test_off_sends_the_template_alone(market: Market) -> None:
    """Nothing is added to the prompt, and nobody looks at the answer."""
    sold = await market.sold(template=TEMPLATE, prompt_shield="off")

    execution_id = await market.call(sold, "obeys:verbatim")
    assert await market.answer(execution_id) == TEMPLATE.replace("{topic}{/topic}", "the sea")
    assert (await market.row(execution_id))[4] is None


async def test_what_the_creator_and_the_buyers_learn(market: Market) -> None:
    """Counted in the usage, in the product's offer, and told by a notice."""
    sold = await market.sold(template=TEMPLATE, prompt_shield="watch")
    await market.call(sold, OVERLAPS)
    sold = await market.sold(template=TEMPLATE, prompt_shield="block")
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


def test_a_repetition_is_asked_for_once_more_whatever_the_limit_of_sends() -> None:
    """The operator may allow more sends for lost answers; this one was read."""
    overlap, lost = provider_failure("withheld_overlap"), provider_failure("provider_cut")

    assert [release.is_last(number, overlap) for number in (1, 2, 3)] == [False, True, True]
    assert not release.is_last(3, lost)
