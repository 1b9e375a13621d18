-- name: figures(by, span, since, until, account_id, kind)
-- Sum the rollup by one dimension. An hour may have two rows with the same key, so always sum.
SELECT CASE :by
        WHEN 'hour' THEN to_char(usage_rollup.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24":00Z"')
        WHEN 'day' THEN to_char(usage_rollup.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
        WHEN 'month' THEN to_char(usage_rollup.starts_at AT TIME ZONE 'UTC', 'YYYY-MM')
        WHEN 'resource' THEN '/@' || accounts.handle || '/' || resources.slug
        WHEN 'creator' THEN accounts.handle
        WHEN 'model' THEN usage_rollup.model_served
        WHEN 'network' THEN usage_rollup.network
    END AS subject,
    sum(calls)::bigint AS calls, sum(succeeded)::bigint AS succeeded, sum(truncated)::bigint AS truncated,
    sum(watched)::bigint AS watched, sum(withheld)::bigint AS withheld,
    sum(failed)::bigint AS failed,
    sum(declined)::bigint AS declined, sum(fault_creator)::bigint AS fault_creator,
    sum(fault_provider)::bigint AS fault_provider, sum(fault_ours)::bigint AS fault_ours,
    sum(charged)::bigint AS charged, sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens, sum(revenue_atomic)::bigint AS revenue_atomic,
    sum(cost_usd) AS cost_usd, sum(cost_unknown)::bigint AS cost_unknown, sum(margin_usd) AS margin_usd,
    histogram_percentile(histogram_sum(total), 0.5) AS p50_ms,
    histogram_percentile(histogram_sum(total), 0.95) AS p95_ms,
    histogram_percentile(histogram_sum(total), 0.99) AS p99_ms,
    histogram_percentile(histogram_sum(upstream), 0.95) AS upstream_p95_ms,
    histogram_percentile(histogram_sum(queue), 0.95) AS queue_p95_ms
FROM usage_rollup
JOIN resource_versions ON resource_versions.id = usage_rollup.version_id
JOIN resources ON resources.id = resource_versions.resource_id
JOIN accounts ON accounts.id = usage_rollup.account_id
WHERE usage_rollup.span = :span AND usage_rollup.starts_at >= :since AND usage_rollup.starts_at < :until
    AND (:account_id::uuid IS NULL OR usage_rollup.account_id = :account_id)
    AND (:kind::text IS NULL OR usage_rollup.kind = :kind)
GROUP BY 1
ORDER BY 1;

-- name: causes(since, until, account_id, kind)
-- Why calls failed, most frequent first. Only the log has the causes, not the rollup.
-- types: detail! fault!
SELECT usage_log.detail, usage_log.fault, count(*) AS calls, count(*) FILTER (WHERE usage_log.charged) AS charged
FROM usage_log
WHERE usage_log.created_at >= :since AND usage_log.created_at < :until AND usage_log.outcome <> 'succeeded'
    AND (:account_id::uuid IS NULL OR usage_log.account_id = :account_id)
    AND (:kind::text IS NULL OR usage_log.kind = :kind)
GROUP BY usage_log.detail, usage_log.fault
ORDER BY count(*) DESC, usage_log.detail
LIMIT 20;
