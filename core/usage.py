"""What executions cost and earned: reservations before, one log row after."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from core import db
from core.failures import ExecutionFailed, Unavailable

sql = db.load("usage")


async def reserve(
    conn: db.Connection, account_id: UUID, *, execution_id: UUID, round_number: int, usd: Decimal
) -> None:
    """Set aside what one round may cost at most, and a place in its creator's queue.

    Args:
        conn: the transaction of the claim; it must roll back when this raises. In a pipeline this takes one trip, which
            matters because all claims on one creator take turns here.
        account_id: the creator who pays the provider.
        execution_id: what it is for.
        round_number: 1 for the first run.
        usd: worst-case cost in US dollars.

    Raises:
        Unavailable: `spend_cap` or `resource_spend_cap`, when today's cap (UTC) of the creator or of the resource
            has no room for it; `queue_full`.
    """
    place = {"execution_id": execution_id, "round": round_number}
    reserved, resource_has_room, queue_has_room = await asyncio.gather(
        sql.reserve(conn, account_id=account_id, usd=usd, **place),
        sql.resource_has_room(conn, **place),
        sql.queue_has_room(conn, account_id=account_id),
    )
    if reserved is None:
        raise Unavailable("spend_cap")
    if not resource_has_room:
        raise Unavailable("resource_spend_cap")
    if not queue_has_room:
        raise Unavailable("queue_full")


async def extend(conn: db.Connection, execution_id: UUID, round_number: int, *, usd: Decimal) -> None:
    """Set more aside for a round that runs: it is sent again, and may cost as much again.

    Raises:
        ExecutionFailed: `spend_cap` or `resource_spend_cap` (the creator's), when it does not fit; the transaction must
            roll back.
    """
    if await sql.extend(conn, execution_id=execution_id, round=round_number, usd=usd) is None:
        raise ExecutionFailed("resource_unavailable", "creator", "spend_cap")
    if not await sql.resource_has_room(conn, execution_id=execution_id, round=round_number):
        raise ExecutionFailed("resource_unavailable", "creator", "resource_spend_cap")


async def settle(conn: db.Connection, rounds: Sequence[tuple[UUID, int]]) -> None:
    """Replace reservations by what the sends of their rounds cost, and correct the usage rows that are written.

    Sends of unknown cost count at the worst. Does nothing while a round runs, and may be repeated when more is known.

    Args:
        conn: one transaction; it holds the days of these creators until it ends.
        rounds: executions, each with the number of its round.
    """
    asked = {"execution_ids": [row_id for row_id, _ in rounds], "rounds": [number for _, number in rounds]}
    await sql.lock(conn, **asked)
    await sql.lock_days(conn, **asked)
    await sql.settle(conn, **asked)
    await sql.correct(conn, **asked)


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
