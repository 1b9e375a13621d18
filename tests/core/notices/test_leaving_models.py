"""Notices about models that end, are lost, renamed or withdrawn, or cost so much that a prompt is off sale."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from core.accounts.accounts import Account
from core.notices import messages
from core.notices import rules as notice_rules
from core.resources.departures import departures
from tests import histories, selling

MODEL = "maker/pro-1"


@pytest.fixture
async def owner(conn: AsyncConnection[Any]) -> Account:
    """A creator with a prompt on a model; two more models of its maker, and one of another."""
    owner = await selling.creator(conn)
    for model_id in (MODEL, "maker/pro-2", "maker/mini-2", "other/pro-1"):
        await selling.add_model(conn, id=model_id)
    # Nobody is pointed to a model that does not serve the prompt.
    await selling.add_model(conn, id="maker/pro-3", max_completion_tokens=100)
    await selling.publish(conn, owner, model=MODEL)
    return owner


async def told(conn: AsyncConnection[Any], owner: Account | UUID) -> list[dict[str, Any]]:
    """Run the rules; return the facts of all notices about the creator's models."""
    await notice_rules.record_findings(conn)
    rows = await conn.execute(
        "SELECT facts FROM notices WHERE account_id = %s AND rule = 'model_leaving' ORDER BY found_at",
        [owner if isinstance(owner, UUID) else owner.id],
    )
    return [row.facts for row in await rows.fetchall()]


CHANGES = {
    "ends": "UPDATE models SET expires_on = '2099-01-05' WHERE id = %s",
    "lost": "UPDATE models SET missing_since = now() WHERE id = %s",
    "withdrawn": "UPDATE models SET disabled = true WHERE id = %s",
    "unfit": "UPDATE models SET output_modalities = '{image}' WHERE id = %s",
    "loss": "INSERT INTO repriced_versions (version_id, worst_cost_usd, is_certain_loss)"
    " SELECT id, 9, true FROM resource_versions WHERE model_id = %s",
    "dear": "INSERT INTO repriced_versions (version_id, worst_cost_usd, is_certain_loss)"
    " SELECT id, 0.010001, false FROM resource_versions WHERE model_id = %s",
}


@pytest.mark.parametrize("cause", CHANGES)
async def test_a_creator_is_told_once_what_becomes_of_a_model(
    conn: AsyncConnection[Any], owner: Account, cause: str
) -> None:
    """The notice says the cause and names models to switch to, first of the same maker; the lists say the same."""
    assert await told(conn, owner) == []
    assert await departures(conn, owner.id) == {}
    await conn.execute(CHANGES[cause].encode(), [MODEL])

    (facts,) = await told(conn, owner)
    assert await told(conn, owner) == [facts]
    assert (facts["cause"], facts["model"]) == (cause, MODEL)
    assert facts["switch_to"][:2] == ["maker/pro-2", "maker/mini-2"]
    (sentence,) = (await departures(conn, owner.id)).values()
    message = messages.message_for("model_leaving", owner.handle, "haiku", facts, to_operator=False)
    assert message.title.startswith(f"/@{owner.handle}/haiku: ")
    assert message.body.startswith(sentence)
    assert "switch to maker/pro-2 or maker/mini-2" in sentence


@pytest.mark.parametrize("cause", ["unfit", "loss"])
async def test_what_takes_a_prompt_off_sale_is_told_before_what_will(
    conn: AsyncConnection[Any], owner: Account, cause: str
) -> None:
    """An end that is far away hides nothing, and it is told again when it comes back, for it has no date."""
    await conn.execute(CHANGES["ends"].encode(), [MODEL])
    await conn.execute(CHANGES[cause].encode(), [MODEL])

    assert [facts["cause"] for facts in await told(conn, owner)] == [cause]
    await conn.execute("UPDATE notices SET found_at = now() - interval '30 days' WHERE account_id = %s", [owner.id])
    assert [facts["cause"] for facts in await told(conn, owner)] == [cause, cause]


async def test_calls_that_nobody_serves_are_told(conn: AsyncConnection[Any]) -> None:
    """After three in a row, unless an answer came since, or the list changed; a decline says nothing about it."""
    sold = await histories.publish(conn)
    await conn.execute("UPDATE models SET changed_at = now() - interval '1 day' WHERE id = %s", [sold.model_id])
    others = ["provider_404_price", "provider_404_filtered", "provider_404_filtered"]
    now = datetime.now(UTC)

    async def sell(minutes: int, ending: histories.Ending) -> None:
        await histories.sell(conn, sold, now - timedelta(minutes=minutes), ending)

    await sell(9, histories.Ending())
    for minutes, code in zip((8, 7, 6), others, strict=True):
        assert await departures(conn, sold.account_id) == {}
        await sell(minutes, replace(histories.FAILED, fault="creator", detail=code))
    await sell(5, histories.DECLINED)
    (sentence,) = (await departures(conn, sold.account_id)).values()
    (facts,) = await told(conn, sold.account_id)
    message = messages.message_for("model_leaving", sold.handle, sold.slug, facts, to_operator=False)
    await conn.execute("UPDATE models SET changed_at = now() WHERE id = %s", [sold.model_id])
    after_a_change = await departures(conn, sold.account_id)
    await conn.execute("UPDATE models SET changed_at = now() - interval '1 day' WHERE id = %s", [sold.model_id])
    await sell(4, histories.Ending())

    assert sentence.startswith(f"its last 3 calls failed uncharged, because nobody serves {sold.model_id} at")
    assert message.title.endswith(": its calls fail, because nobody serves its model within the limits")
    assert sentence in message.body
    assert after_a_change == await departures(conn, sold.account_id) == {}


async def test_a_prompt_that_searches_is_pointed_to_models_that_search(
    conn: AsyncConnection[Any], owner: Account
) -> None:
    """Whatever it says about today would be made up elsewhere."""
    await conn.execute("UPDATE models SET supported_parameters = '{web_search_options}' WHERE id = %s", [MODEL])
    await conn.execute("UPDATE models SET supported_parameters = '{web_search_options}' WHERE id = 'maker/mini-2'")
    await conn.execute(CHANGES["ends"].encode(), [MODEL])
    (facts,) = await told(conn, owner)

    assert facts["switch_to"][0] == "maker/mini-2"
    assert "maker/pro-2" not in facts["switch_to"]


async def test_a_fallback_that_cannot_answer_is_told(conn: AsyncConnection[Any], owner: Account) -> None:
    """It is named, without models to switch to; and a loss may be that of a fallback."""
    await selling.publish(conn, owner, model=MODEL, fallbacks=["maker/pro-2", "maker/mini-2"])
    assert await told(conn, owner) == []
    await conn.execute(CHANGES["withdrawn"].encode(), ["maker/pro-2"])
    (facts,) = await told(conn, owner)
    message = messages.message_for("model_leaving", owner.handle, "haiku", facts, to_operator=False)
    await conn.execute(CHANGES["loss"].encode(), [MODEL])
    ((_, sentence),) = (await departures(conn, owner.id)).items()

    assert message.title.endswith(": a fallback of it cannot answer any more")
    assert message.body == (
        f"maker/pro-2 cannot answer for {MODEL} any more, so it has fewer fallbacks; publish it with others."
    )
    assert sentence.startswith(f"{MODEL} or a fallback costs so much")


async def test_what_was_warned_of_when_it_was_published_is_not_told_again(
    conn: AsyncConnection[Any], owner: Account
) -> None:
    """A call that could always cost more than its price is no matter, and neither is one that just covers it."""
    await conn.execute(CHANGES["dear"].encode(), [MODEL])
    ((_, sentence),) = (await departures(conn, owner.id)).items()
    await conn.execute("UPDATE repriced_versions SET worst_cost_usd = 0.01")
    covered = await departures(conn, owner.id)
    await conn.execute("UPDATE repriced_versions SET worst_cost_usd = 0.02")
    await conn.execute("UPDATE resource_versions SET worst_cost_usd = 0.015 WHERE model_id = %s", [MODEL])

    assert sentence.startswith("a call can cost up to $0.010001 since prices rose, more than its price of 0.01 USDC;")
    assert covered == await departures(conn, owner.id) == {}


async def test_an_end_is_told_again_only_for_another_day(conn: AsyncConnection[Any], owner: Account) -> None:
    """A date is told once, also after the week in which other matters rest, and a new date is told."""
    await conn.execute(CHANGES["ends"].encode(), [MODEL])
    await told(conn, owner)
    await conn.execute("UPDATE notices SET found_at = now() - interval '30 days' WHERE account_id = %s", [owner.id])
    assert len(await told(conn, owner)) == 1
    await conn.execute("UPDATE models SET expires_on = '2098-01-01' WHERE id = %s", [MODEL])

    assert [facts["until"] for facts in await told(conn, owner)] == ["2099-01-05", "2098-01-01"]


async def test_a_renamed_model_is_the_first_to_switch_to(conn: AsyncConnection[Any], owner: Account) -> None:
    """A lost id whose permanent name another id has was renamed, whatever that is called."""
    await conn.execute(
        'UPDATE models SET raw = \'{"canonical_slug": "maker/pro-1-2026"}\' WHERE id = ANY(%s)',
        [[MODEL, "other/pro-1"]],
    )
    assert await told(conn, owner) == []
    await conn.execute(CHANGES["lost"].encode(), [MODEL])

    (facts,) = await told(conn, owner)
    assert (facts["cause"], facts["switch_to"][0]) == ("renamed", "other/pro-1")
    last = datetime.now(UTC) + timedelta(days=2)
    assert facts["until"].startswith(f"{last:%Y-%m-%d}")


async def test_nothing_is_said_of_what_is_archived_or_agreed_to(conn: AsyncConnection[Any], owner: Account) -> None:
    """An archived prompt, and a loss that its creator agreed to, are no matter."""
    await conn.execute("UPDATE resource_versions SET allows_loss = true WHERE model_id = %s", [MODEL])
    await conn.execute(CHANGES["loss"].encode(), [MODEL])
    assert await told(conn, owner) == []
    await conn.execute(CHANGES["lost"].encode(), [MODEL])
    await conn.execute("UPDATE resources SET archived_at = now() WHERE account_id = %s", [owner.id])

    assert await told(conn, owner) == []
