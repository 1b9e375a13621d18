-- name: figures(by, span, since, until, account_id, kind)
-- Sum the live rollup by one dimension, and the refunds of the same calls. Rows of a dimension may be many, so always sum.
-- A call that no model answered counts for the model that its version asks. What tokens cost at today's list prices stands
-- beside what was billed.
-- types: row=FiguresRow calls! watched! withheld! succeeded! truncated! failed! declined! fault_creator! fault_provider! fault_ours! charged!
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
), names AS MATERIALIZED (
    -- Providers name a model by its id in the catalog, or by a dated one.
    SELECT DISTINCT ON (served) served, id, prompt_usd, completion_usd, request_usd
    FROM (
        SELECT id AS served, id, prompt_usd, completion_usd, request_usd, 1 AS place FROM models
        UNION ALL
        SELECT raw ->> 'canonical_slug', id, prompt_usd, completion_usd, request_usd, 2 FROM models
        WHERE raw ->> 'canonical_slug' IS NOT NULL
    ) AS named
    ORDER BY served, place, id
)
SELECT CASE :by
        WHEN 'hour' THEN to_char(sales.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24":00Z"')
        WHEN 'day' THEN to_char(sales.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
        WHEN 'month' THEN to_char(sales.starts_at AT TIME ZONE 'UTC', 'YYYY-MM')
        WHEN 'resource' THEN '/@' || accounts.handle || '/' || resources.slug
        WHEN 'version' THEN '/@' || accounts.handle || '/' || resources.slug || ' v' || resource_versions.number
        WHEN 'creator' THEN accounts.handle
        WHEN 'model' THEN coalesce(named.id, sales.model_served, resource_versions.model_id)
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
    sum(
        input_tokens * coalesce(named.prompt_usd, own.prompt_usd)
        + output_tokens * coalesce(named.completion_usd, own.completion_usd)
        + succeeded * coalesce(named.request_usd, own.request_usd, 0)
    ) AS estimated_cost_usd,
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
JOIN models AS own ON own.id = resource_versions.model_id
LEFT JOIN names AS named ON named.served = sales.model_served
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

-- name: payers(since, until, account_id, kind)
-- The same figures by the wallet that paid, for one creator. Only the log knows the payer, and only as long as it is kept.
-- types: row=FiguresRow
WITH refunded AS (
    SELECT payments.payer, count(*) AS refunds,
        coalesce(sum(refunds.amount_atomic) FILTER (WHERE refunds.state = 'recorded'), 0) AS refunded_atomic,
        coalesce(sum(refunds.amount_atomic) FILTER (WHERE refunds.state = 'due'), 0) AS due_atomic
    FROM refunds
    JOIN executions ON executions.id = refunds.execution_id
    JOIN payments ON payments.id = refunds.payment_id
    WHERE refunds.account_id = :account_id AND executions.created_at >= :since AND executions.created_at < :until
    GROUP BY payments.payer
), sums AS (
    SELECT payments.payer, count(*) AS calls, count(*) FILTER (WHERE outcome = 'succeeded') AS succeeded,
        count(*) FILTER (WHERE log.truncated) AS truncated, count(*) FILTER (WHERE log.leak IS NOT NULL) AS watched,
        count(*) FILTER (WHERE log.detail IN ('withheld_canary', 'withheld_overlap')) AS withheld,
        count(*) FILTER (WHERE outcome = 'failed') AS failed, count(*) FILTER (WHERE outcome = 'declined') AS declined,
        count(*) FILTER (WHERE log.fault = 'creator') AS fault_creator,
        count(*) FILTER (WHERE log.fault = 'provider') AS fault_provider,
        count(*) FILTER (WHERE log.fault = 'ours') AS fault_ours, count(*) FILTER (WHERE charged) AS charged,
        coalesce(sum(log.input_tokens), 0) AS input_tokens, coalesce(sum(log.output_tokens), 0) AS output_tokens,
        sum(log.amount_atomic) AS revenue_atomic, coalesce(sum(log.cost_usd), 0) AS cost_usd,
        count(*) FILTER (WHERE log.cost_usd IS NULL AND spent_usd > 0) AS cost_unknown,
        sum(log.input_tokens * models.prompt_usd + log.output_tokens * models.completion_usd
            + CASE WHEN outcome = 'succeeded' THEN coalesce(models.request_usd, 0) ELSE 0 END) AS estimated_cost_usd,
        sum(spent_usd) AS spent_usd,
        histogram(array_agg(histogram_bucket(total_ms))) AS total,
        histogram(array_agg(histogram_bucket(upstream_ms))) AS upstream,
        histogram(array_agg(histogram_bucket(queue_ms))) AS queue
    FROM usage_log AS log
    JOIN executions ON executions.id = log.execution_id
    JOIN payments ON payments.id = executions.payment_id
    JOIN models ON models.id = log.model_id
    WHERE log.account_id = :account_id AND log.created_at >= :since AND log.created_at < :until
        AND (:kind::text IS NULL OR log.kind = :kind)
    GROUP BY payments.payer
)
SELECT payer AS subject, calls, succeeded, truncated, watched, withheld, failed, declined, fault_creator, fault_provider,
    fault_ours, charged, input_tokens::bigint, output_tokens::bigint, revenue_atomic::bigint, cost_usd, cost_unknown,
    estimated_cost_usd, revenue_atomic * 0.000001 - spent_usd AS margin_usd,
    histogram_percentile(total, 0.5) AS p50_ms, histogram_percentile(total, 0.95) AS p95_ms,
    histogram_percentile(total, 0.99) AS p99_ms, histogram_percentile(upstream, 0.95) AS upstream_p95_ms,
    histogram_percentile(queue, 0.95) AS queue_p95_ms, coalesce(refunds, 0)::bigint AS refunds,
    coalesce(refunded_atomic, 0)::bigint AS refunded_atomic, coalesce(due_atomic, 0)::bigint AS due_atomic
FROM sums LEFT JOIN refunded USING (payer)
ORDER BY revenue_atomic DESC, payer
LIMIT 1000;

-- name: row_causes(by, since, until, account_id, kind)
-- Of each resource, version or model, the three codes that its calls failed with most often.
-- types: subject! detail! calls!
SELECT subject, detail, calls
FROM (
    SELECT subject, detail, count(*) AS calls,
        row_number() OVER (PARTITION BY subject ORDER BY count(*) DESC, detail) AS place
    FROM (
        SELECT log.detail, CASE :by
                WHEN 'resource' THEN '/@' || accounts.handle || '/' || resources.slug
                WHEN 'version' THEN '/@' || accounts.handle || '/' || resources.slug || ' v' || version.number
                WHEN 'creator' THEN accounts.handle
                WHEN 'model' THEN coalesce(
                    (SELECT id FROM models WHERE id = log.model_served),
                    (SELECT min(id) FROM models WHERE raw ->> 'canonical_slug' = log.model_served),
                    log.model_served, log.model_id
                )
            END AS subject
        FROM usage_log AS log
        JOIN resource_versions AS version ON version.id = log.version_id
        JOIN resources ON resources.id = version.resource_id
        JOIN accounts ON accounts.id = log.account_id
        WHERE log.created_at >= :since AND log.created_at < :until AND log.outcome <> 'succeeded'
            AND log.detail IS NOT NULL AND (:account_id::uuid IS NULL OR log.account_id = :account_id)
            AND (:kind::text IS NULL OR log.kind = :kind)
    ) AS failures
    WHERE subject IS NOT NULL
    GROUP BY subject, detail
) AS often
WHERE place <= 3
ORDER BY subject, place;

-- name: now()$
-- The moment that a snapshot shows.
SELECT now();

-- name: in_progress(account_id, since, until)$
-- Paid calls of a period that the log does not have: they are not at rest, or came to rest a moment ago.
SELECT count(*) FROM executions
WHERE (state IN ('queued', 'running') OR (state IN ('succeeded', 'failed', 'declined') AND logged_round < round))
    AND kind = 'paid' AND created_at >= :since AND created_at < :until
    AND (:account_id::uuid IS NULL OR account_id = :account_id);
