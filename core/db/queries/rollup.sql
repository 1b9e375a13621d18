-- name: mark(since)!
-- Mark everything since then to be counted again: hours of the log, and counted hours whose rows are gone.
INSERT INTO usage_dirty (span, starts_at)
SELECT 'hour', hour
FROM (
    SELECT min(at) AS first, max(at) AS last
    FROM (
        SELECT min(created_at) AS at FROM usage_log
        UNION ALL SELECT max(created_at) FROM usage_log
        UNION ALL SELECT min(starts_at) FROM usage_rollup WHERE span = 'hour'
        UNION ALL SELECT max(starts_at) FROM usage_rollup WHERE span = 'hour'
    ) AS ends
) AS known
CROSS JOIN generate_series(
    date_bin('1 hour', greatest(first, :since), '2000-01-01 00:00Z'), last, '1 hour'
) AS hour;

-- name: stretches(within, span)
-- The marked periods, grouped by what is counted in one transaction.
SELECT date_trunc(:within::text, starts_at, 'UTC') AS first, count(DISTINCT starts_at) AS periods
FROM usage_dirty
WHERE span = :span
GROUP BY 1
ORDER BY 1;

-- name: tune()!
-- For this transaction: plan each query for its own period, because a generic plan would read all of them. And do not
-- wait for the disk: a crash that loses the counts restores the marks.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true) AS plan,
    set_config('synchronous_commit', 'off', true) AS commit;

-- name: tune_hours()!
-- Hash the groups of an hour: Postgres overestimates their number tenfold, and would sort them.
SELECT set_config('enable_sort', 'off', true);

-- name: lock(span, first)!
-- Transactions that count the same period wait for each other, so that the last one has seen the most rows.
SELECT pg_advisory_xact_lock(hashtextextended(
    concat_ws('/', 'x402-instant/usage_rollup', :span::text, :first::timestamptz), 0
));

-- name: take(span, first, within)
-- Take the marks of a period. Rows that are marked from now on are counted by the next run.
WITH taken AS (
    DELETE FROM usage_dirty
    WHERE span = :span AND starts_at >= :first
        AND starts_at < (:first::timestamptz AT TIME ZONE 'UTC' + ('1 ' || :within::text)::interval) AT TIME ZONE 'UTC'
    RETURNING starts_at
)
SELECT DISTINCT starts_at FROM taken ORDER BY starts_at;

-- name: forget(span, starts)!
-- Delete earlier counts, except of hours whose log rows were dropped.
DELETE FROM usage_rollup WHERE span = :span AND starts_at = ANY(:starts::timestamptz[]) AND log_dropped_at IS NULL;

-- name: count_hours(starts)!
-- Count the log by hours, one at a time, so that each is grouped in memory.
INSERT INTO usage_rollup (
    span, starts_at, account_id, version_id, model_served, network, kind, calls, succeeded, failed, declined,
    fault_buyer, fault_creator, fault_provider, fault_ours, charged, sends, input_tokens, output_tokens,
    revenue_atomic, cost_usd, cost_unknown, spent_usd, truncated, watched, withheld, settle, queue, upstream, total
)
SELECT 'hour', start, account_id, version_id, model_served, network, kind, calls, succeeded, failed, declined,
    fault_buyer, fault_creator, fault_provider, fault_ours, charged, sends, input_tokens, output_tokens,
    revenue_atomic, cost_usd, cost_unknown, spent_usd, truncated, watched, withheld, settle, queue, upstream, total
FROM unnest(:starts::timestamptz[]) AS start
CROSS JOIN LATERAL counted_usage(start) AS counted;

-- name: add_up(span, finer, starts)!
-- Sum hours to days and days to months. Hours whose log rows were dropped count like any other.
INSERT INTO usage_rollup (
    span, starts_at, account_id, version_id, model_served, network, kind, calls, succeeded, failed, declined,
    fault_buyer, fault_creator, fault_provider, fault_ours, charged, sends, input_tokens, output_tokens,
    revenue_atomic, cost_usd, cost_unknown, spent_usd, truncated, watched, withheld, settle, queue, upstream, total
)
SELECT :span, start, account_id, version_id, model_served, network, kind, sum(calls), sum(succeeded), sum(failed),
    sum(declined), sum(fault_buyer), sum(fault_creator), sum(fault_provider), sum(fault_ours), sum(charged),
    sum(sends), sum(input_tokens), sum(output_tokens), sum(revenue_atomic), sum(cost_usd), sum(cost_unknown),
    sum(spent_usd), sum(truncated), sum(watched), sum(withheld), histogram_sum(settle), histogram_sum(queue), histogram_sum(upstream), histogram_sum(total)
FROM unnest(:starts::timestamptz[]) AS start
JOIN usage_rollup ON usage_rollup.span = :finer AND starts_at >= start
    AND starts_at < (start AT TIME ZONE 'UTC' + ('1 ' || :span::text)::interval) AT TIME ZONE 'UTC'
GROUP BY start, account_id, version_id, model_served, network, kind;

-- name: mark_coarser(span, starts)!
-- Mark the coarser periods that contain these.
INSERT INTO usage_dirty (span, starts_at)
SELECT DISTINCT :span, date_trunc(:span::text, start, 'UTC') FROM unnest(:starts::timestamptz[]) AS start;

-- name: watermark(span)$
-- The watermark: every earlier period of this span equals a recount.
SELECT usage_watermark(:span);

-- name: count_withheld()!
-- How many answers of each resource were withheld in the last 30 days, for its offer. Only versions that block count, and
-- only paid calls: an owner's test is nobody's purchase.
UPDATE resources SET shielded_calls = counted.calls, withheld_calls = counted.withheld
FROM (
    SELECT resources.id, coalesce(sum(usage_rollup.calls), 0)::bigint AS calls,
        coalesce(sum(usage_rollup.withheld), 0)::bigint AS withheld
    FROM resources
    JOIN resource_versions ON resource_versions.resource_id = resources.id AND resource_versions.prompt_shield = 'block'
    LEFT JOIN usage_rollup ON usage_rollup.version_id = resource_versions.id AND usage_rollup.span = 'day'
        AND usage_rollup.kind = 'paid' AND usage_rollup.starts_at > now() - interval '30 days'
    GROUP BY resources.id
) AS counted
WHERE resources.id = counted.id
    AND (resources.shielded_calls, resources.withheld_calls) IS DISTINCT FROM (counted.calls, counted.withheld);

-- name: count_recent()!
-- How many paid calls of each resource were answered in the last 30 days, by which lists are sorted.
UPDATE resources SET recent_calls = counted.calls
FROM (
    SELECT resources.id, coalesce(sum(usage_rollup.succeeded), 0)::bigint AS calls
    FROM resources
    LEFT JOIN resource_versions ON resource_versions.resource_id = resources.id
    LEFT JOIN usage_rollup ON usage_rollup.version_id = resource_versions.id AND usage_rollup.span = 'day'
        AND usage_rollup.kind = 'paid' AND usage_rollup.starts_at > now() - interval '30 days'
    GROUP BY resources.id
) AS counted
WHERE resources.id = counted.id AND resources.recent_calls IS DISTINCT FROM counted.calls;
