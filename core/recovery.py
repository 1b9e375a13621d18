"""Recover the work of dead processes. Every launcher runs this on a timer, and a scheduled flow runs it visibly.

Recovery only frees, decides and logs; launchers run the executions that became claimable.
"""

from dataclasses import dataclass
from uuid import UUID

from core import db
from core.db.queries.recovery import sql
from core.executions import lifecycle
from core.observability import metrics
from core.payments import refund_transfers, refunds, settlement
from core.settings import settings
from core.spend import reservations, usage_log

# Between two looks at an unknown payment. The first pause is INSTANT_RECOVERY_SECONDS, and each next one twice as long.
_LONGEST_PAUSE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Recovered:
    """The counts of one pass."""

    freed: int
    given_up: int
    marked_unknown: int
    decided: int
    logged: int
    owed: int


async def recover(pool: db.Pool, clients: settlement.PaymentClients, worker_id: UUID) -> Recovered:
    """Run one pass over everything that could be stuck. Any number of passes may run at once, on any host.

    Takes the pool: between its transactions it asks facilitators and chains about unknown payments.

    Args:
        pool: our database.
        clients: the facilitators and chain nodes of all networks.
        worker_id: owns the payments while they are being decided.
    """
    config = settings()
    async with pool.connection() as conn:
        freed = [row.id async for row in sql.free(conn, lease_seconds=config.lease_seconds)]
        given_up = [
            row
            async for row in sql.give_up(
                conn,
                send_limit=config.send_limit,
                takeover_limit=config.takeover_limit,
                rerun_seconds=config.rerun_hours * 3600,
            )
        ]
        metrics.returned("recovery", len(freed))
        if given_up:
            await reservations.replace_by_cost(conn, [(row.id, row.round) for row in given_up])
            await lifecycle.notify_finished(conn, [row.id for row in given_up])
            for _ in given_up:
                metrics.finished("failed", "ours")
        await sql.end_orphaned_batches(conn, lease_seconds=config.lease_seconds)
        marked_unknown = [row.id async for row in sql.mark_unknown(conn, lease_seconds=config.lease_seconds)]
        owed = await refunds.mark_due(conn)
        if await sql.is_work_left(conn):
            await lifecycle.notify_queued(conn)
    decided = await _decide_unknown(pool, clients, worker_id)
    await _watch_refused(pool, clients)
    await refund_transfers.decide_all(pool, clients, pause=config.watch_seconds)
    async with pool.connection() as conn:
        logged = await usage_log.append(conn)
    return Recovered(len(freed), len(given_up), len(marked_unknown), decided, len(logged), len(owed))


async def _decide_unknown(pool: db.Pool, clients: settlement.PaymentClients, worker_id: UUID) -> int:
    """Ask the chain about every unknown payment whose time has come; return how many were decided."""
    config = settings()
    async with pool.connection() as conn:
        adopted = [
            row.id
            async for row in sql.take_unknown(
                conn,
                worker_id=worker_id,
                lease_seconds=config.lease_seconds,
                pause_seconds=config.recovery_seconds,
                longest_seconds=max(_LONGEST_PAUSE_SECONDS, config.recovery_seconds),
                margin_seconds=config.chain_margin_seconds,
            )
        ]
    decided = 0
    for payment_id in adopted:
        decided += await settlement.decide(pool, clients, payment_id)
        async with pool.connection() as conn:
            await sql.release_unknown(conn, id=payment_id, worker_id=worker_id)
    return decided


async def _watch_refused(pool: db.Pool, clients: settlement.PaymentClients) -> None:
    """Ask the chain about refused payments that could still land."""
    async with pool.connection() as conn:
        watched = [row.id async for row in sql.watch(conn, pause_seconds=settings().watch_seconds)]
    for payment_id in watched:
        await settlement.watch(pool, clients, payment_id)
