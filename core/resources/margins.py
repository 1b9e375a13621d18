"""Guard a creator's margin: what a call usually and really costs beside the price, and caps that stop a sale.

Functions take a connection and do not commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from core import db
from core.amounts import dollars, usdc
from core.catalog.model import Model
from core.db.queries.margin import sql
from core.resources import estimates
from core.resources.draft import Draft

# Fewer calls may all be alike.
_LEAST_CALLS = 5

_CAPS = {
    "account_call": "most_per_call_usd of your account",
    "account_day": "the daily spend cap of your account",
    "account_month": "the monthly spend cap of your account",
    "call": "its most_per_call_usd",
    "day": "its daily_spend_cap_usd",
    "month": "its monthly_spend_cap_usd",
}


@dataclass(frozen=True, slots=True)
class Costs:
    """What a call costs besides its least and its most, in US dollars.

    Attributes:
        typical_usd: what a usual call costs at today's prices; see `estimates.Usual`.
        real_usd: what the paid calls of the last 30 days on this model cost on average, with what credit costs and
            unknown costs at their worst; None if there were fewer than 5.
        calls: how many calls that were.
    """

    typical_usd: Decimal
    real_usd: Decimal | None
    calls: int


async def costs(conn: db.Connection, account_id: UUID, draft: Draft, models: Sequence[Model]) -> Costs:
    """Compute what a call of this draft usually costs, and what it really cost.

    Args:
        conn: the transaction.
        account_id: the creator; calls of their resource with this slug count.
        draft: the prompt.
        models: as `fallbacks.find_models` found them, its own first.
    """
    typical = await estimates.typical_usd(conn, account_id, draft, models)
    real = await sql.real_cost(conn, account_id=account_id, slug=draft.slug, model_id=draft.model)
    is_enough = real.calls >= _LEAST_CALLS
    return Costs(typical, real.cost_usd if is_enough else None, real.calls)


def warnings(draft: Draft, found: Costs) -> list[str]:
    """Warn of a price below what a usual call costs, or what calls really cost."""
    price = Decimal(draft.price_atomic).scaleb(-6)
    sells = f"sells for {usdc(draft.price_atomic)} USDC"
    if found.real_usd is not None and found.real_usd > price:
        return [f"The last {found.calls} calls cost ${dollars(found.real_usd)} on average, but a call {sells}"]
    if found.typical_usd > price:
        return [f"A usual call costs about ${dollars(found.typical_usd)}, but {sells}"]
    return []


async def cap_warnings(conn: db.Connection, resource_id: UUID, worst_cost_usd: Decimal) -> list[str]:
    """Warn of each cap that not even one call at its worst fits into: until that changes, the resource is not sold."""
    return [
        f"A call can cost up to ${dollars(worst_cost_usd)}, more than {_CAPS[row.cap]} (${row.usd}), so it is not sold"
        async for row in sql.caps_below(conn, resource_id=resource_id, usd=worst_cost_usd)
    ]
