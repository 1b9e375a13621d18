"""Fill the database with past executions, as they are when their content has been deleted."""

import asyncio
from collections.abc import Sequence

import psycopg

from core import db
from core.db.pool import database_url
from core.settings import settings
from tests import shops
from tests.shops import Shop

_CHUNK = 500_000

_COUNT = "SELECT count(*) FROM executions"

# One row of each for every past call, a second and a half apart; all were answered and logged.
_FILL = """
WITH made AS MATERIALIZED (
    SELECT gen_random_uuid() AS payment_id, gen_random_uuid() AS execution_id, gen_random_uuid() AS attempt_id, at,
        sha256(convert_to(n::text, 'UTF8')) AS nonce, sold.*
    FROM generate_series(%(low)s::integer, %(high)s::integer - 1) AS n
    CROSS JOIN LATERAL (SELECT now() - interval '1 day' - n * interval '0.1 seconds' AS at) AS times
    JOIN (
        SELECT row_number() OVER () - 1 AS place, versions.id AS version_id, resources.account_id, model_id
        FROM resource_versions AS versions JOIN resources ON resources.id = versions.resource_id
        WHERE versions.id = ANY(%(version_ids)s)
    ) AS sold ON sold.place = n %% %(sold)s
), paid AS (
    INSERT INTO payments (
        id, network, asset, payer, nonce, pay_to, amount_atomic, valid_before, version_id, state, reason, transaction,
        payload_sha256, request_sha256, quoted, created_at, decided_at, fetched_at, verification, verified_at
    )
    SELECT payment_id, %(network)s, lower(%(asset)s), '0x' || encode(substr(nonce, 1, 20), 'hex'), nonce,
        '0x' || repeat('ab', 20), %(price)s, at + interval '1 hour', version_id, 'paid', 'settled',
        '0x' || encode(nonce, 'hex'), nonce, nonce, true, at, at, at, 'agrees', at
    FROM made
), executed AS (
    INSERT INTO executions (
        id, kind, payment_id, account_id, version_id, state, sends, attempt_id, logged_round, created_at, queued_at,
        call_started_at, finished_at, content_deleted_at
    )
    SELECT execution_id, 'paid', payment_id, account_id, version_id, 'succeeded', 1, attempt_id, 1, at, at, at,
        at + interval '1 second', at + interval '2 seconds'
    FROM made
), attempted AS (
    INSERT INTO attempts (
        id, execution_id, round, reason, worker_id, sends, started_at, call_started_at, ended_at, outcome
    )
    SELECT attempt_id, execution_id, 1, 'first', gen_random_uuid(), 1, at, at, at + interval '1 second', 'succeeded'
    FROM made
), sent AS (
    INSERT INTO sends (execution_id, round, number, attempt_id, sent_at, ended_at, outcome, model_id, cost_usd)
    SELECT execution_id, 1, 1, attempt_id, at, at + interval '1 second', 'succeeded', model_id, 0.0001
    FROM made
), reserved AS (
    INSERT INTO reservations (execution_id, round, account_id, day, reserved_usd, spent_usd, released_at)
    SELECT execution_id, 1, account_id, (at AT TIME ZONE 'UTC')::date, 0.001, 0.0001, at
    FROM made
)
INSERT INTO usage_log (
    execution_id, round, created_at, kind, account_id, version_id, model_id, network, amount_atomic, outcome, sends,
    input_tokens, output_tokens, cost_usd, spent_usd, settle_ms, queue_ms, upstream_ms, total_ms
)
SELECT execution_id, 1, at, 'paid', account_id, version_id, model_id, %(network)s, %(price)s, 'succeeded', 1, 100, 100,
    0.0001, 0.0001, 100, 100, 300, 500
FROM made
"""


async def fill(pool: db.Pool, sellers: Sequence[Shop], past: int) -> None:
    """Add past executions of these sellers until there are so many; about 30,000 a second."""
    versions = [(await shop.version(pool)).version_id for shop in sellers]
    await asyncio.to_thread(_fill, versions, past)


def _fill(version_ids: Sequence[object], past: int) -> None:
    network = settings().networks[0]
    given = {"network": network.id, "asset": network.asset, "price": shops.PRICE_ATOMIC}
    given |= {"version_ids": version_ids, "sold": len(version_ids)}
    # The superuser of the embedded Postgres, who may leave out the checks of foreign keys.
    with psycopg.connect(database_url(settings()), user="postgres", autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        (found,) = conn.execute(_COUNT).fetchone() or (0,)
        for low in range(found, past, _CHUNK):
            conn.execute(_FILL, given | {"low": low, "high": min(past, low + _CHUNK)})
        conn.execute("VACUUM ANALYZE")
