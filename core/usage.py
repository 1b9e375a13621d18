"""What executions cost and earned: reservations before, one log row after."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from core import db
from core.failures import Unavailable

sql = db.load("usage")

# After these the provider may have charged, and nobody has told us how much.
_MAY_HAVE_COST = frozenset(
    {
        "provider_504",
        "provider_524",
        "provider_timeout",
        "provider_cut",
        "provider_malformed",
        "provider_malformed_json",
        "provider_empty",
        "provider_truncated",
        "provider_refused",
        "provider_content_filter",
    }
)


def may_have_cost(detail: str) -> bool:
    """Whether a failure may have cost its creator something; counted at the worst case until somebody knows."""
    return detail in _MAY_HAVE_COST


async def reserve(
    conn: db.Connection, account_id: UUID, *, execution_id: UUID, round_number: int, usd: Decimal
) -> None:
    """Set aside what one round may cost at most.

    Args:
        conn: the transaction of the claim; it must roll back when this raises.
        account_id: the creator who pays the provider.
        execution_id: what it is for.
        round_number: 1 for the first run.
        usd: worst-case cost in US dollars.

    Raises:
        Unavailable: when today's cap (UTC) has no room for it.
    """
    day = await sql.reserve(conn, account_id=account_id, usd=usd)
    if day is None:
        raise Unavailable("spend_cap")
    await sql.hold(conn, execution_id=execution_id, round=round_number, account_id=account_id, day=day.day, usd=usd)


async def release(conn: db.Connection, execution_id: UUID, round_number: int, *, spent_usd: Decimal | None) -> None:
    """Replace a reservation by what was spent.

    Args:
        conn: the transaction that ends the round.
        execution_id: whose reservation.
        round_number: of which round.
        spent_usd: US dollars; None means nobody knows, and then the whole reservation counts as spent.
    """
    await sql.release(
        conn, execution_id=execution_id, round=round_number, spent_usd=spent_usd, unknown=spent_usd is None
    )


async def log(conn: db.Connection, execution_ids: Sequence[UUID] | None = None) -> list[UUID]:
    """Write the usage row of every finished round that has none yet.

    Args:
        conn: one transaction.
        execution_ids: look at these only; None looks at all (recovery).

    Returns:
        The executions that were logged now, at most 1000.
    """
    ids = None if execution_ids is None else list(execution_ids)
    return [row.id async for row in sql.log(conn, ids=ids)]
