-- name: to_make(ahead)
-- Months without a partition that have rows already, or need one soon.
SELECT month
FROM (
    SELECT DISTINCT date_trunc('month', created_at, 'UTC') FROM usage_log_default
    UNION
    SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => number)) AT TIME ZONE 'UTC'
    FROM generate_series(0, :ahead) AS number
) AS wanted (month)
WHERE to_regclass(to_char(month AT TIME ZONE 'UTC', '"usage_log_"YYYY_MM')) IS NULL
ORDER BY month;

-- name: make(month)$
-- Create one partition per transaction; its rows in the default partition move.
SELECT make_usage_month(:month);

-- name: over(kept, asked_seconds)
-- Months that are older than the retention, each with the number of its executions that could still change the log: a
-- refused payment could land, a failed call could be re-run, or an unknown cost could become known.
SELECT month, (
    SELECT count(*)
    FROM executions
    LEFT JOIN payments ON payments.id = executions.payment_id
    WHERE executions.created_at >= month
        AND executions.created_at < (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
        AND (executions.state IN ('held', 'queued', 'running')
            OR (executions.state <> 'void' AND executions.logged_round < executions.round)
            OR executions.rerun_until > now()
            OR EXISTS (
                SELECT 1 FROM sends
                WHERE sends.execution_id = executions.id AND sends.cost_usd IS NULL
                    AND sends.sent_at > now() - make_interval(secs => :asked_seconds)
            )
            OR (payments.state = 'failed' AND payments.proved_at IS NULL))
) AS unfinished
FROM (
    SELECT to_date(right(relname, 7), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC' AS month
    FROM pg_inherits
    JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'usage_log'::regclass AND relname <> 'usage_log_default'
) AS months
WHERE month < (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => :kept)) AT TIME ZONE 'UTC'
ORDER BY month;

-- name: drop(month)$
-- Drop a month and return its number of rows; NULL if a row is not counted yet.
SELECT drop_usage_month(:month);
