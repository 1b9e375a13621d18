-- name: reserve(usd, account_id)^
-- Set the worst-case cost aside if today's cap has room. The row's lock makes a creator's claims take turns.
INSERT INTO spend_days AS spend (account_id, day, reserved_usd)
SELECT id, (now() AT TIME ZONE 'UTC')::date, :usd
FROM accounts
WHERE id = :account_id AND daily_spend_cap_usd >= :usd
ON CONFLICT (account_id, day) DO UPDATE SET reserved_usd = spend.reserved_usd + excluded.reserved_usd
WHERE spend.reserved_usd + spend.spent_usd + excluded.reserved_usd
    <= (SELECT daily_spend_cap_usd FROM accounts WHERE id = excluded.account_id)
RETURNING day;

-- name: hold(execution_id, round, account_id, day, usd)!
-- Remember what was set aside for this round; a round that was refused and came back holds again.
INSERT INTO reservations AS held (execution_id, round, account_id, day, reserved_usd)
VALUES (:execution_id, :round, :account_id, :day, :usd)
ON CONFLICT (execution_id, round) DO UPDATE
SET day = excluded.day, reserved_usd = excluded.reserved_usd, spent_usd = NULL, released_at = NULL
WHERE held.released_at IS NOT NULL;

-- name: release(unknown, spent_usd, execution_id, round)!
-- The round is over: the reservation gives way to what was really spent, or stays spent where nobody knows.
WITH released AS (
    UPDATE reservations
    SET released_at = now(), spent_usd = CASE WHEN :unknown THEN reserved_usd ELSE :spent_usd END
    WHERE execution_id = :execution_id AND round = :round AND released_at IS NULL
    RETURNING account_id, day, reserved_usd, spent_usd
)
UPDATE spend_days
SET reserved_usd = spend_days.reserved_usd - released.reserved_usd,
    spent_usd = spend_days.spent_usd + released.spent_usd
FROM released
WHERE spend_days.account_id = released.account_id AND spend_days.day = released.day;

-- name: log(ids)
-- One row per finished round, whoever finds it first; what is logged already is not found again.
WITH finished AS (
    SELECT * FROM executions
    WHERE logged_round < round AND state IN ('succeeded', 'failed', 'declined')
        AND (:ids::uuid[] IS NULL OR id = ANY(:ids::uuid[]))
    ORDER BY finished_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
), used AS (
    SELECT execution_id, round, max(model_served) AS model_served, sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens, sum(cost_usd) AS cost_usd, max(generation_id) AS generation_id,
        (extract(epoch FROM max(ended_at) - min(call_started_at)) * 1000)::integer AS upstream_ms
    FROM attempts
    WHERE (execution_id, round) IN (SELECT id, round FROM finished)
    GROUP BY execution_id, round
), logged AS (
    INSERT INTO usage_log (
        execution_id, round, kind, account_id, version_id, model_id, model_served, network, amount_atomic, outcome,
        code, fault, sends, input_tokens, output_tokens, cost_usd, settle_ms, queue_ms, upstream_ms, total_ms,
        generation_id
    )
    SELECT finished.id, finished.round, finished.kind, finished.account_id, finished.version_id,
        resource_versions.model_id, used.model_served, payments.network,
        CASE WHEN finished.round = 1 THEN coalesce(payments.amount_atomic, 0) ELSE 0 END,
        finished.state, finished.code, finished.fault, finished.sends, used.input_tokens, used.output_tokens,
        used.cost_usd,
        (extract(epoch FROM payments.decided_at - payments.created_at) * 1000)::integer,
        (extract(epoch FROM finished.call_started_at - finished.queued_at) * 1000)::integer,
        used.upstream_ms,
        (extract(epoch FROM finished.finished_at - finished.created_at) * 1000)::integer,
        used.generation_id
    FROM finished
    JOIN resource_versions ON resource_versions.id = finished.version_id
    LEFT JOIN payments ON payments.id = finished.payment_id
    LEFT JOIN used ON used.execution_id = finished.id AND used.round = finished.round
)
UPDATE executions SET logged_round = executions.round
FROM finished WHERE executions.id = finished.id
RETURNING executions.id;
