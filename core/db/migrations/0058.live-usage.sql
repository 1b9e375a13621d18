-- depends: 0055.prompt-leaks
-- Reports include what the rollup has not counted yet.

CREATE FUNCTION counted_usage(hour timestamptz) RETURNS TABLE (
    account_id uuid, version_id uuid, model_served text, network text, kind text, calls bigint, succeeded bigint,
    failed bigint, declined bigint, fault_buyer bigint, fault_creator bigint, fault_provider bigint, fault_ours bigint,
    charged bigint, sends bigint, input_tokens bigint, output_tokens bigint, revenue_atomic bigint, cost_usd numeric,
    cost_unknown bigint, spent_usd numeric, truncated bigint, watched bigint, withheld bigint, settle integer[], queue integer[], upstream integer[],
    total integer[]
) LANGUAGE sql STABLE AS $$
    SELECT account_id, version_id, model_served, network, kind, count(*),
        count(*) FILTER (WHERE outcome = 'succeeded'), count(*) FILTER (WHERE outcome = 'failed'),
        count(*) FILTER (WHERE outcome = 'declined'),
        count(*) FILTER (WHERE fault = 'buyer'), count(*) FILTER (WHERE fault = 'creator'),
        count(*) FILTER (WHERE fault = 'provider'), count(*) FILTER (WHERE fault = 'ours'),
        count(*) FILTER (WHERE charged), CAST(sum(sends) AS bigint), CAST(coalesce(sum(input_tokens), 0) AS bigint),
        CAST(coalesce(sum(output_tokens), 0) AS bigint), CAST(sum(amount_atomic) AS bigint),
        coalesce(sum(cost_usd), 0), count(*) FILTER (WHERE cost_usd IS NULL AND spent_usd > 0),
        sum(spent_usd), count(*) FILTER (WHERE truncated), count(*) FILTER (WHERE leak IS NOT NULL),
        count(*) FILTER (WHERE detail IN ('withheld_canary', 'withheld_overlap')),
        histogram(array_agg(histogram_bucket(settle_ms))), histogram(array_agg(histogram_bucket(queue_ms))),
        histogram(array_agg(histogram_bucket(upstream_ms))), histogram(array_agg(histogram_bucket(total_ms)))
    FROM usage_log
    WHERE created_at >= hour AND created_at < hour + interval '1 hour'
    GROUP BY account_id, version_id, model_served, network, kind
$$;
COMMENT ON FUNCTION counted_usage IS 'The usage log of one hour, counted: what the rollup stores. Times are collected into arrays first, because a custom aggregate for histograms is several times slower.';

CREATE FUNCTION live_usage(of_span text, since timestamptz, until timestamptz) RETURNS TABLE (
    starts_at timestamptz, account_id uuid, version_id uuid, model_served text, network text, kind text, calls bigint,
    succeeded bigint, failed bigint, declined bigint, fault_creator bigint, fault_provider bigint, fault_ours bigint,
    charged bigint, input_tokens bigint, output_tokens bigint, revenue_atomic bigint, cost_usd numeric,
    cost_unknown bigint, spent_usd numeric, truncated bigint, watched bigint, withheld bigint, queue integer[], upstream integer[], total integer[]
) LANGUAGE sql STABLE AS $$
    WITH hours AS MATERIALIZED (
        SELECT DISTINCT starts_at FROM usage_dirty WHERE span = 'hour' AND starts_at >= since AND starts_at < until
    ),
    periods AS MATERIALIZED (
        SELECT date_trunc(of_span, starts_at, 'UTC') AS starts_at FROM hours
        UNION
        SELECT starts_at FROM usage_dirty WHERE span = of_span AND starts_at >= since AND starts_at < until
    )
    SELECT starts_at, account_id, version_id, model_served, network, kind, calls, succeeded, failed, declined,
        fault_creator, fault_provider, fault_ours, charged, input_tokens, output_tokens, revenue_atomic, cost_usd,
        cost_unknown, spent_usd, truncated, watched, withheld, queue, upstream, total
    FROM usage_rollup
    WHERE span = of_span AND starts_at >= since AND starts_at < until
        AND starts_at NOT IN (SELECT periods.starts_at FROM periods)
    UNION ALL
    -- Of a period that is not summed: its hours, as far as they are counted, or can be counted no more.
    SELECT usage_rollup.starts_at, account_id, version_id, model_served, network, kind, calls, succeeded, failed,
        declined, fault_creator, fault_provider, fault_ours, charged, input_tokens, output_tokens, revenue_atomic,
        cost_usd, cost_unknown, spent_usd, truncated, watched, withheld, queue, upstream, total
    FROM periods
    JOIN usage_rollup ON span = 'hour' AND usage_rollup.starts_at >= periods.starts_at
        AND usage_rollup.starts_at
            < (periods.starts_at AT TIME ZONE 'UTC' + CAST('1 ' || of_span AS interval)) AT TIME ZONE 'UTC'
    WHERE log_dropped_at IS NOT NULL OR usage_rollup.starts_at NOT IN (SELECT hours.starts_at FROM hours)
    UNION ALL
    SELECT hours.starts_at, account_id, version_id, model_served, network, kind, calls, succeeded, failed, declined,
        fault_creator, fault_provider, fault_ours, charged, input_tokens, output_tokens, revenue_atomic, cost_usd,
        cost_unknown, spent_usd, truncated, watched, withheld, queue, upstream, total
    FROM hours CROSS JOIN LATERAL counted_usage(hours.starts_at)
$$;
COMMENT ON FUNCTION live_usage IS 'The rollup of a period by hour or day, with what it has not counted yet counted now: equal to a recount of the log at every moment.';
