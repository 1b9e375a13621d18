"""A past that did not happen: many calls at once, at any time, in one statement. `histories` logs each by core."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from core import db
from core.reporting import rollup as usage_rollup
from core.resources import versions

_MADE = """
WITH told AS (
    SELECT gen_random_uuid() AS id, made.*
    FROM jsonb_to_recordset(%(calls)s::jsonb) AS made (
        at timestamptz, outcome text, detail text, fault text, cost_usd numeric, spent_usd numeric, total_ms integer,
        times integer
    ), generate_series(1, made.times)
), run AS (
    INSERT INTO executions (
        id, kind, account_id, version_id, state, code, fault, detail, logged_round, sealed_inputs, sealed_result,
        created_at, queued_at, finished_at
    )
    SELECT id, 'test', %(account_id)s, %(version_id)s, outcome,
        CASE WHEN outcome <> 'succeeded' THEN 'resource_unavailable' END, fault, detail, 1, 'x',
        CASE WHEN outcome = 'succeeded' THEN 'x'::bytea END, at, at, at + make_interval(secs => total_ms / 1000.0)
    FROM told
    RETURNING id, created_at
)
INSERT INTO usage_log (
    execution_id, round, created_at, kind, account_id, version_id, model_id, model_served, network, amount_atomic,
    outcome, code, fault, detail, sends, input_tokens, output_tokens, cost_usd, spent_usd, queue_ms, upstream_ms,
    total_ms
)
SELECT told.id, 1, told.at, %(kind)s, %(account_id)s, %(version_id)s, %(model_id)s, %(model_id)s,
    CASE WHEN %(kind)s = 'paid' THEN 'eip155:402402' END, CASE WHEN %(kind)s = 'paid' THEN %(price)s ELSE 0 END,
    told.outcome, CASE WHEN told.outcome <> 'succeeded' THEN 'resource_unavailable' END, told.fault, told.detail, 1,
    100, 50, told.cost_usd, told.spent_usd, 20, greatest(total_ms - 30, 0), total_ms
FROM told JOIN run ON run.id = told.id
"""


@dataclass(frozen=True)
class Calls:
    """Calls that went alike.

    Attributes:
        at: when they were sold.
        times: how many.
        outcome: succeeded, failed or declined.
        detail, fault: of those that did not succeed.
        cost_usd: what the provider charged for each; None: nobody knows.
        spent_usd: what each counts as; default the cost.
    """

    at: datetime
    times: int = 1
    outcome: str = "succeeded"
    detail: str | None = None
    fault: str | None = None
    cost_usd: str | None = "0.001"
    spent_usd: str | None = None
    total_ms: int = 800


async def happened(pool: db.Pool, sold: versions.Version, calls: Iterable[Calls], *, kind: str = "paid") -> None:
    """Let calls of a resource have happened, and count them.

    There are no payments behind those that are paid, so the books would not agree: only in a database of one's own.
    """
    rows = [asdict(one) | {"spent_usd": one.spent_usd or one.cost_usd or "0"} for one in calls]
    async with pool.connection() as conn:
        await conn.execute(
            _MADE.encode(),
            {
                "calls": json.dumps(rows, default=str),
                "account_id": sold.account_id,
                "version_id": sold.version_id,
                "model_id": sold.model_id,
                "price": sold.price_atomic,
                "kind": kind,
            },
        )
    await count(pool)


async def count(pool: db.Pool) -> None:
    """Bring the rollup up to date."""
    await usage_rollup.roll_up(pool)
