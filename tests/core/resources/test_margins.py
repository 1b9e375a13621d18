"""The margin guardian at publishing: prices below what calls usually and really cost, and caps that stop a sale."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from core import db
from core.accounts import accounts
from core.resources import editing, publishing
from tests import histories
from tests.histories import Ending
from tests.selling import add_model, content, creator, publish


@pytest.mark.parametrize(("calls", "cost", "is_warned"), [(5, "0.011", True), (4, "0.011", False), (5, "0.01", False)])
async def test_a_price_below_what_calls_really_cost(
    conn: db.Connection, calls: int, cost: str, is_warned: bool
) -> None:
    """Five paid calls on the same model that cost more on average than the price are warned of, with the number."""
    sold = await histories.publish(conn)
    for _ in range(calls):
        await histories.sell(conn, sold, datetime.now(UTC), Ending(cost_usd=Decimal(cost), spent_usd=Decimal(cost)))
    await histories.sell(conn, sold, datetime.now(UTC), Ending(spent_usd=Decimal(9)), paid=False)

    _, checked = await publishing.read(conn, sold.account_id, content())

    assert (checked.costs.real_usd is None) == (calls < 5)
    assert any("calls cost $0.011000 on average" in line for line in checked.warnings) is is_warned


async def test_a_price_below_what_a_usual_call_costs(conn: db.Connection) -> None:
    """Between the least and the worst: publishing is not refused, and says what a usual call costs."""
    owner = await creator(conn)
    await add_model(conn, completion_usd=Decimal("0.00001"))

    _, checked = await publishing.read(conn, owner.id, content())

    assert checked.least_cost_usd < Decimal("0.01") < checked.costs.typical_usd < checked.worst_cost_usd
    assert [line for line in checked.warnings if line.startswith("A usual call costs about $0.02")]


async def test_publishing_says_which_caps_stop_the_sale(conn: db.Connection) -> None:
    """Every cap of the account and of the prompt that not even one call fits into; such a prompt may be published."""
    owner = await creator(conn)
    tiny = Decimal("0.000001")
    await accounts.set_caps(conn, owner.id, dict.fromkeys(accounts.CAPS, tiny))
    capped = dict.fromkeys(("daily_spend_cap_usd", "monthly_spend_cap_usd", "most_per_call_usd"), "0.000001")

    published = await publish(conn, owner, **capped)
    named = [line for line in published.warnings if "so it is not sold" in line]
    assert len(named) == 6
    assert len({*named}) == 6

    await accounts.set_caps(conn, owner.id, dict.fromkeys(accounts.CAPS))
    saved = await editing.change(conn, owner.id, "haiku", {"most_per_call_usd": None}, revisions=None)
    assert editing.document_of(saved.resource)["monthly_spend_cap_usd"] == "0.000001"
    again = await editing.publish(conn, owner.id, "haiku")
    assert len([line for line in again.checked.warnings if "so it is not sold" in line]) == 2
