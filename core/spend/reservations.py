"""Reserve what executions may cost at most, and replace the reservation by the real cost."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from core import db
from core.db.queries.usage import sql
from core.failures import ExecutionFailed, Unavailable


@dataclass(frozen=True, slots=True)
class Round:
    """One run of an execution (1 is the first), and what it may cost at worst, in US dollars."""

    execution_id: UUID
    number: int
    worst_usd: Decimal


async def reserve(conn: db.Connection, rounds: Sequence[Round]) -> None:
    """Set aside what these rounds may cost at most, and a place for each in its creator's queue.

    Args:
        conn: the transaction of the claim; it must roll back when this raises. In a pipeline this takes one trip, which
            matters because all claims on one creator take turns here.
        rounds: of executions that are written.

    Raises:
        Unavailable: `spend_cap` or `resource_spend_cap`, when today's cap (UTC) of a creator or of a resource
            has no room for them; `queue_full`.
    """
    ids, numbers = [one.execution_id for one in rounds], [one.number for one in rounds]
    reserved, resources_have_room, queues_have_room = await asyncio.gather(
        sql.reserve(conn, execution_ids=ids, rounds=numbers, usd=[one.worst_usd for one in rounds]),
        sql.resources_have_room(conn, execution_ids=ids, rounds=numbers),
        sql.queues_have_room(conn, execution_ids=ids),
    )
    if reserved < len(rounds):
        raise Unavailable("spend_cap")
    if not resources_have_room:
        raise Unavailable("resource_spend_cap")
    if not queues_have_room:
        raise Unavailable("queue_full")


async def extend(conn: db.Connection, execution_id: UUID, round_number: int, *, usd: Decimal) -> None:
    """Set more aside for a round that runs: it is sent again, and may cost as much again.

    Raises:
        ExecutionFailed: `spend_cap` or `resource_spend_cap` (the creator's), when it does not fit; the transaction must
            roll back.
    """
    if await sql.extend(conn, execution_id=execution_id, round=round_number, usd=usd) is None:
        raise ExecutionFailed("resource_unavailable", "creator", "spend_cap")
    if not await sql.resources_have_room(conn, execution_ids=[execution_id], rounds=[round_number]):
        raise ExecutionFailed("resource_unavailable", "creator", "resource_spend_cap")


async def replace_by_cost(conn: db.Connection, rounds: Sequence[tuple[UUID, int]]) -> None:
    """Replace reservations by what the sends of their rounds cost, and correct the usage rows that are written.

    Sends of unknown cost count at the worst. Does nothing while a round runs, and may be repeated when more is known.

    Args:
        conn: one transaction; it holds the days of these creators until it ends.
        rounds: executions, each with the number of its round.
    """
    ids, numbers = [execution_id for execution_id, _ in rounds], [number for _, number in rounds]
    await sql.lock(conn, execution_ids=ids, rounds=numbers)
    await sql.lock_days(conn, execution_ids=ids, rounds=numbers)
    await sql.settle(conn, execution_ids=ids, rounds=numbers)
    await sql.correct(conn, execution_ids=ids, rounds=numbers)
