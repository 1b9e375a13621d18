-- name: figures(by, span, since, until, account_id, kind)
-- Sum the live rollup by one dimension, and the refunds of the same calls. Rows of a dimension may be many, so always sum.
-- types: calls! watched! withheld! succeeded! truncated! failed! declined! fault_creator! fault_provider! fault_ours! charged!
-- types: input_tokens! output_tokens! revenue_atomic! cost_usd! cost_unknown! margin_usd! refunds! refunded_atomic! due_atomic!
WITH sales AS (
    SELECT starts_at, account_id, version_id, model_served, network, kind, calls, succeeded, truncated, failed, declined,
        fault_creator, fault_provider, fault_ours, charged, input_tokens, output_tokens, revenue_atomic, cost_usd,
        cost_unknown, spent_usd, watched, withheld, queue, upstream, total,
        0 AS refunds, 0 AS refunded_atomic, 0 AS due_atomic
    FROM live_usage(:span, :since, :until)
    UNION ALL
    SELECT executions.created_at, refunds.account_id, executions.version_id, last_round.model_served, payments.network,
        executions.kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, 1,
        CASE WHEN refunds.state = 'recorded' THEN refunds.amount_atomic ELSE 0 END,
        CASE WHEN refunds.state = 'due' THEN refunds.amount_atomic ELSE 0 END
    FROM refunds
    JOIN executions ON executions.id = refunds.execution_id
    JOIN payments ON payments.id = refunds.payment_id
    LEFT JOIN LATERAL (
        SELECT model_served FROM usage_log
        WHERE usage_log.execution_id = executions.id AND usage_log.created_at = executions.created_at
        ORDER BY round DESC LIMIT 1
    ) AS last_round ON true
    WHERE executions.created_at >= :since AND executions.created_at < :until
)
SELECT CASE :by
        WHEN 'hour' THEN to_char(sales.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24":00Z"')
        WHEN 'day' THEN to_char(sales.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
        WHEN 'month' THEN to_char(sales.starts_at AT TIME ZONE 'UTC', 'YYYY-MM')
        WHEN 'resource' THEN '/@' || accounts.handle || '/' || resources.slug
        WHEN 'version' THEN '/@' || accounts.handle || '/' || resources.slug || ' v' || resource_versions.number
        WHEN 'creator' THEN accounts.handle
        WHEN 'model' THEN sales.model_served
        WHEN 'network' THEN sales.network
    END AS subject,
    sum(calls)::bigint AS calls, sum(succeeded)::bigint AS succeeded, sum(truncated)::bigint AS truncated,
    sum(watched)::bigint AS watched, sum(withheld)::bigint AS withheld,
    sum(failed)::bigint AS failed,
    sum(declined)::bigint AS declined, sum(fault_creator)::bigint AS fault_creator,
    sum(fault_provider)::bigint AS fault_provider, sum(fault_ours)::bigint AS fault_ours,
    sum(charged)::bigint AS charged, sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens, sum(revenue_atomic)::bigint AS revenue_atomic,
    sum(cost_usd) AS cost_usd, sum(cost_unknown)::bigint AS cost_unknown,
    sum(revenue_atomic) * 0.000001 - sum(spent_usd) AS margin_usd,
    histogram_percentile(histogram_sum(total), 0.5) AS p50_ms,
    histogram_percentile(histogram_sum(total), 0.95) AS p95_ms,
    histogram_percentile(histogram_sum(total), 0.99) AS p99_ms,
    histogram_percentile(histogram_sum(upstream), 0.95) AS upstream_p95_ms,
    histogram_percentile(histogram_sum(queue), 0.95) AS queue_p95_ms,
    sum(refunds)::bigint AS refunds, sum(refunded_atomic)::bigint AS refunded_atomic, sum(due_atomic)::bigint AS due_atomic
FROM sales
JOIN resource_versions ON resource_versions.id = sales.version_id
JOIN resources ON resources.id = resource_versions.resource_id
JOIN accounts ON accounts.id = sales.account_id
WHERE (:account_id::uuid IS NULL OR sales.account_id = :account_id)
    AND (:kind::text IS NULL OR sales.kind = :kind)
GROUP BY 1
ORDER BY 1;

-- name: causes(since, until, account_id, kind)
-- Why calls failed, most frequent first. Only the log has the causes, not the rollup.
-- types: detail! fault! served_by=list[str]
SELECT usage_log.detail, usage_log.fault, count(*) AS calls, count(*) FILTER (WHERE usage_log.charged) AS charged,
    array_remove(array_agg(DISTINCT models.served_by), NULL) AS served_by
FROM usage_log LEFT JOIN models ON models.id = usage_log.model_id
WHERE usage_log.created_at >= :since AND usage_log.created_at < :until AND usage_log.outcome <> 'succeeded'
    AND (:account_id::uuid IS NULL OR usage_log.account_id = :account_id)
    AND (:kind::text IS NULL OR usage_log.kind = :kind)
GROUP BY usage_log.detail, usage_log.fault
ORDER BY count(*) DESC, usage_log.detail
LIMIT 20;

-- name: now()$
-- The moment that a snapshot shows.
SELECT now();

-- name: in_progress(account_id, since, until)$
-- Paid calls of a period that are not at rest, so that the log does not have them.
SELECT count(*) FROM executions
WHERE state IN ('queued', 'running') AND kind = 'paid' AND created_at >= :since AND created_at < :until
    AND (:account_id::uuid IS NULL OR account_id = :account_id);
