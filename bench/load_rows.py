"""Prepare paid executions in bulk, so that an arrival is one statement."""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from core import db
from core.resources import versions as resource_versions
from core.secrets.vault import vault
from core.settings import settings
from tests import shops
from tests.shops import Shop

CREATORS = 20

_ROOMY = """
UPDATE accounts SET slots = 100000, queue_limit = 1000000, daily_spend_cap_usd = 1000000 WHERE id = ANY(%s)
"""
_PAYMENT = """
INSERT INTO payments (
    id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, version_id, state, reason, transaction,
    payload_sha256, request_sha256, quoted, sealed_payload, decided_at
)
VALUES (
    %(payment_id)s, %(network)s, lower(%(asset)s), '0x' || encode(substr(%(nonce)s, 1, 20), 'hex'), %(nonce)s,
    '0x' || repeat('ab', 20), %(price)s, now() + interval '1 hour', %(version_id)s, 'paid', 'settled',
    '0x' || encode(%(nonce)s, 'hex'), %(nonce)s, %(nonce)s, true, %(sealed)s, now()
)
"""
_EXECUTION = """
INSERT INTO executions (id, kind, payment_id, account_id, version_id, state, sealed_inputs)
VALUES (%(id)s, 'paid', %(payment_id)s, %(account_id)s, %(version_id)s, 'held', %(sealed)s)
"""
_DAY = """
INSERT INTO spend_days AS spend (account_id, day, reserved_usd)
VALUES (%(account_id)s, (now() AT TIME ZONE 'UTC')::date, %(usd)s)
ON CONFLICT (account_id, day) DO UPDATE SET reserved_usd = spend.reserved_usd + excluded.reserved_usd
"""
_RESERVATION = """
INSERT INTO reservations (execution_id, round, account_id, day, reserved_usd)
VALUES (%(id)s, 1, %(account_id)s, (now() AT TIME ZONE 'UTC')::date, %(usd)s)
"""

# The part of `ledger.pay` that launchers see.
_QUEUE = """
WITH released AS (
    UPDATE executions SET state = 'queued', queued_at = now() WHERE id = %s AND state = 'held' RETURNING id
)
SELECT pg_notify('execution_queued', '') FROM released
"""
_FORGET = """
UPDATE executions SET state = 'void', claimed_by = NULL, attempt_id = NULL, finished_at = now()
WHERE state IN ('held', 'queued', 'running')
"""


@dataclass(frozen=True)
class Row:
    """A paid execution, and the topic of its prompt."""

    id: UUID
    topic: str


async def market(pool: db.Pool) -> list[Shop]:
    """Set up creators with room for all calls."""
    found = await asyncio.gather(*(shops.open_shop(pool) for _ in range(CREATORS)))
    async with pool.connection() as conn:
        await conn.execute(_ROOMY, [[shop.account.id for shop in found]])
    return found


async def prepare(pool: db.Pool, sellers: Sequence[Shop], count: int) -> list[Row]:
    """Create held executions with paid payments, for all sellers in turn."""
    network, versions = settings().networks[0], [await shop.version(pool) for shop in sellers]
    rows = list[dict[str, Any]]()
    for number in range(count):
        version, execution_id, payment_id, nonce = versions[number % len(versions)], uuid4(), uuid4(), os.urandom(32)
        topic = f"rain {execution_id}"
        rows.append({"id": execution_id, "payment_id": payment_id, "nonce": nonce, "topic": topic})
        rows[-1] |= {"account_id": version.account_id, "version_id": version.version_id, "usd": version.worst_cost_usd}
        rows[-1] |= {"network": network.id, "asset": network.asset, "price": version.price_atomic}
        rows[-1]["sealed"] = _seal(version, execution_id, topic)
    async with pool.connection() as conn, conn.cursor() as cursor:
        for statement in (_PAYMENT, _EXECUTION, _DAY, _RESERVATION):
            await cursor.executemany(statement, rows)
    return [Row(row["id"], row["topic"]) for row in rows]


async def queue(pool: db.Pool, row: Row) -> None:
    """Queue the row: commit and notify."""
    async with pool.connection() as conn:
        # One round trip instead of a transaction's three, because this process shares the cores with what it measures.
        await conn.set_autocommit(True)
        await conn.execute(_QUEUE, [row.id])
        await conn.set_autocommit(False)


async def forget(pool: db.Pool) -> None:
    """Void unfinished executions, so that no launcher begins them later."""
    async with pool.connection() as conn:
        await conn.execute(_FORGET)


def _seal(version: resource_versions.Version, execution_id: UUID, topic: str) -> bytes:
    inputs = json.dumps({"topic": topic}).encode()
    return vault().seal(inputs, account=version.account_id, column="executions.sealed_inputs", row=execution_id)
