"""Reserve the worst-case costs of executions, and replace a reservation by the real cost."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from core import db
from core.db.queries.spend import sql
from core.failures import ExecutionFailed, Unavailable
from core.providers import registry as providers


@dataclass(frozen=True, slots=True)
class Round:
    """One run of an execution (1 is the first), and the most that it can cost, in US dollars."""

    execution_id: UUID
    number: int
    worst_usd: Decimal


async def reserve(conn: db.Connection, rounds: Sequence[Round]) -> None:
    """Reserve the worst-case costs of these rounds, and check that their creators' queues have room.

    Args:
        conn: the transaction of the claim; it must roll back if this raises. Use a pipeline: then this takes one round
            trip, which matters because all claims on one creator wait for each other here.
        rounds: rounds of executions that this transaction has written.

    Raises:
        Unavailable: `spend_cap` or `resource_spend_cap`, if today's cap (UTC) of a creator or of a resource
            has no room for them; `queue_full`.
    """
    ids, numbers = [round_.execution_id for round_ in rounds], [round_.number for round_ in rounds]
    reserved, resources_have_room, queues_have_room = await asyncio.gather(
        sql.reserve(conn, execution_ids=ids, rounds=numbers, usd=[round_.worst_usd for round_ in rounds]),
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
    """Reserve as much again for a running round, because it is sent again.

    Raises:
        ExecutionFailed: `spend_cap` or `resource_spend_cap` (the creator's fault), if it does not fit; the transaction
            must roll back.
    """
    if await sql.extend(conn, execution_id=execution_id, round=round_number, usd=usd) is None:
        raise ExecutionFailed("resource_unavailable", "creator", "spend_cap")
    if not await sql.resources_have_room(conn, execution_ids=[execution_id], rounds=[round_number]):
        raise ExecutionFailed("resource_unavailable", "creator", "resource_spend_cap")


async def replace_by_cost(conn: db.Connection, rounds: Sequence[tuple[UUID, int]]) -> None:
    """Replace reservations by the costs of their rounds' sends, and correct usage rows that are already written.

    A cost is what was billed, with what buying the credit for it cost. Sends of unknown cost count at their worst case.
    Does nothing while a round runs; repeat it when more is known.

    Args:
        conn: one transaction; it locks the spending days of these creators until it ends.
        rounds: executions, each with the number of its round.
    """
    ids, numbers = [execution_id for execution_id, _ in rounds], [number for _, number in rounds]
    await sql.lock(conn, execution_ids=ids, rounds=numbers)
    await sql.lock_days(conn, execution_ids=ids, rounds=numbers)
    rows = providers.configured().values()
    await sql.settle(
        conn,
        execution_ids=ids,
        rounds=numbers,
        providers=[row.name for row in rows],
        credit_percents=[row.credit_percent() for row in rows],
    )
    await sql.correct(conn, execution_ids=ids, rounds=numbers)
