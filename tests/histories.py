"""Usage as it could have been: executions at rest with their rounds, at any time, logged by core."""

import os
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import cycle
from typing import Any
from uuid import UUID, uuid4

from core import db
from core.resources import versions
from core.settings import SANDBOX_ASSET, SANDBOX_NETWORK
from core.spend import usage_log
from tests import orders, selling

# Whoever reserves on a day of a resource waits for whoever does so. A call here has a day for itself, so that a
# transaction that stays open stops nobody who only logs.
_SPEND_DAYS = 500
_days = cycle(range(_SPEND_DAYS))


@dataclass(frozen=True)
class Ending:
    """How a round ended, how long each phase took in milliseconds, and what it used."""

    outcome: str = "succeeded"
    fault: str | None = None
    detail: str | None = None
    model: str | None = "test/small-2026"
    settle: int = 200
    queue: int = 50
    upstream: int = 1000
    cost_usd: Decimal | None = Decimal("0.002")
    spent_usd: Decimal = Decimal("0.002")
    tokens: int | None = 100


FAILED = Ending("failed", "provider", "provider_503", None, cost_usd=None, spent_usd=Decimal(0), tokens=None)
CHARGED = Ending("failed", "provider", "provider_empty", None, cost_usd=None, spent_usd=Decimal("0.05"), tokens=None)
DECLINED = Ending("declined", "buyer", "provider_content_filter", None, cost_usd=None, tokens=None)


async def publish(conn: db.Connection) -> versions.Version:
    """What a creator of its own sells."""
    sold = await orders.published(conn)
    await conn.execute(
        "INSERT INTO spend_days (account_id, day)"
        " SELECT %s, '2026-01-01'::date + day FROM generate_series(0, %s::integer) AS day",
        [sold.account_id, _SPEND_DAYS],
    )
    return sold


async def sell(conn: db.Connection, sold: versions.Version, at: datetime, ending: Ending, *, paid: bool = True) -> UUID:
    """An execution that was claimed at that time and whose first round ended; logged in this transaction."""
    execution_id, payment_id = uuid4(), uuid4() if paid else None
    if paid:
        await conn.execute(
            """
            INSERT INTO payments (
                id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, version_id, state, transaction,
                payload_sha256, request_sha256, quoted, sealed_payload, created_at, decided_at
            ) VALUES (
                %(id)s, %(network)s, %(asset)s, %(payer)s, %(random)s, %(pay_to)s, %(amount)s, %(at)s, %(version)s,
                'paid', %(transaction)s, %(random)s, %(random)s, true, 'sealed', %(at)s,
                %(at)s + make_interval(secs => %(settle)s / 1000.0)
            )
            """,
            {
                "id": payment_id,
                "network": SANDBOX_NETWORK,
                "asset": SANDBOX_ASSET.lower(),
                "payer": "0x" + "ab" * 20,
                "pay_to": selling.ADDRESS.lower(),
                "random": os.urandom(32),
                "transaction": "0x" + os.urandom(32).hex(),
                "amount": sold.price_atomic,
                "at": at,
                "version": sold.version_id,
                "settle": ending.settle,
            },
        )
    await conn.execute(
        """
        INSERT INTO executions (
            id, kind, payment_id, account_id, version_id, state, sealed_inputs, created_at, queued_at
        ) VALUES (%(id)s, %(kind)s, %(payment)s, %(account)s, %(version)s, 'queued', 'sealed', %(at)s, %(at)s)
        """,
        {
            "id": execution_id,
            "kind": "paid" if paid else "test",
            "payment": payment_id,
            "account": sold.account_id,
            "version": sold.version_id,
            "at": at,
        },
    )
    await _end(conn, execution_id, ending)
    return execution_id


async def rerun(conn: db.Connection, execution_id: UUID, ending: Ending) -> None:
    """One more round of it, logged in this transaction."""
    await conn.execute(
        "UPDATE executions SET state = 'queued', round = round + 1, sends = 0, code = NULL, fault = NULL,"
        " detail = NULL, sealed_result = NULL, finished_at = NULL WHERE id = %s",
        [execution_id],
    )
    await _end(conn, execution_id, ending)


async def _end(conn: db.Connection, execution_id: UUID, ending: Ending) -> None:
    is_answered = ending.outcome == "succeeded"
    facts: dict[str, Any] = {
        **vars(ending),
        "id": execution_id,
        "day": next(_days),
        "code": None if is_answered else "resource_unavailable",
        "result": b"sealed" if is_answered else None,
    }
    await conn.execute(
        """
        WITH ended AS (
            UPDATE executions
            SET state = %(outcome)s, code = %(code)s, fault = %(fault)s, detail = %(detail)s, sends = 1,
                sealed_result = %(result)s, call_started_at = queued_at + make_interval(secs => %(queue)s / 1000.0),
                finished_at = queued_at + make_interval(secs => (%(queue)s::bigint + %(upstream)s) / 1000.0)
            WHERE id = %(id)s
            RETURNING *
        ), worked AS (
            INSERT INTO workers (id, kind, host, pid) VALUES (gen_random_uuid(), 'executor', 'here', 1) RETURNING id
        ), attempted AS (
            INSERT INTO attempts (id, execution_id, round, reason, worker_id, sends)
            SELECT gen_random_uuid(), ended.id, ended.round, 'first', worked.id, 1 FROM ended CROSS JOIN worked
            RETURNING id
        ), sent AS (
            INSERT INTO sends (
                execution_id, round, number, attempt_id, sent_at, ended_at, outcome, model_served, input_tokens,
                output_tokens, cost_usd
            )
            SELECT ended.id, ended.round, 1, attempted.id, ended.call_started_at, ended.finished_at,
                coalesce(%(detail)s, 'succeeded'), %(model)s, %(tokens)s, %(tokens)s, %(cost_usd)s
            FROM ended CROSS JOIN attempted
        )
        INSERT INTO reservations (execution_id, round, account_id, day, reserved_usd, spent_usd, released_at)
        SELECT id, round, account_id, '2026-01-01'::date + %(day)s::integer, 1, %(spent_usd)s, now() FROM ended
        """,
        facts,
    )
    assert await usage_log.append(conn, [execution_id]) == [execution_id]
