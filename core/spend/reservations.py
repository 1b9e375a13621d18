"""Reserve the worst-case costs of executions, and replace a reservation by the real cost."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from core import db
from core.db.queries.spend import sql
from core.failures import ExecutionFailed, Failure, Unavailable
from core.providers import registry as providers

CAPS = (
    "call_cap",
    "resource_call_cap",
    "spend_cap",
    "resource_spend_cap",
    "monthly_spend_cap",
    "resource_monthly_spend_cap",
)
"""The codes of SQL's `spend_obstacle`: caps of a call, a day and a month (UTC), of an account or of one resource."""


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
        Unavailable: one of CAPS, if that cap has no room for them; `queue_full`.
    """
    ids, numbers = [round_.execution_id for round_ in rounds], [round_.number for round_ in rounds]
    reserved, obstacle, queues_have_room = await asyncio.gather(
        sql.reserve(conn, execution_ids=ids, rounds=numbers, usd=[round_.worst_usd for round_ in rounds]),
        sql.spend_obstacle(conn, execution_ids=ids, rounds=numbers),
        sql.queues_have_room(conn, execution_ids=ids),
    )
    if obstacle is not None:
        raise Unavailable(obstacle)
    if reserved < len(rounds):
        raise Failure("reserved_twice")
    if not queues_have_room:
        raise Unavailable("queue_full")


async def extend(conn: db.Connection, execution_id: UUID, round_number: int, *, usd: Decimal) -> None:
    """Reserve as much again for a running round, because it is sent again.

    Raises:
        ExecutionFailed: one of CAPS (the creator's fault), if it does not fit; `send_refused`, if the round is over.
            The transaction must roll back.
    """
    if await sql.extend(conn, execution_id=execution_id, round=round_number, usd=usd) is None:
        raise ExecutionFailed("internal_error", "ours", "send_refused")
    obstacle = await sql.spend_obstacle(conn, execution_ids=[execution_id], rounds=[round_number])
    if obstacle is not None:
        raise ExecutionFailed("resource_unavailable", "creator", obstacle)


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
