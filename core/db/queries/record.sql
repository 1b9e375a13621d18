-- name: figures(resource_id, since, until)^
-- The paid calls of a product's versions: the live rollup, so equal to a recount of the log, and what of them is owed.
-- types: row! calls! succeeded! truncated! declined! failed! refunded! owed!
WITH versions AS MATERIALIZED (
    SELECT array_agg(id) AS ids FROM resource_versions WHERE resource_id = :resource_id
), sold AS (
    SELECT usage.calls, usage.succeeded, usage.truncated, usage.declined, usage.failed, usage.total
    FROM live_usage('day', :since, :until) AS usage
    WHERE usage.version_id = ANY((SELECT ids FROM versions)::uuid[]) AND usage.kind = 'paid'
), given_back AS (
    SELECT count(*) FILTER (WHERE refunds.state = 'recorded') AS refunded,
        count(*) FILTER (WHERE refunds.state = 'due') AS owed
    FROM refunds JOIN executions ON executions.id = refunds.execution_id
    WHERE executions.version_id = ANY((SELECT ids FROM versions)::uuid[])
        AND executions.created_at >= :since AND executions.created_at < :until
)
SELECT coalesce(sum(calls), 0)::bigint AS calls, coalesce(sum(succeeded), 0)::bigint AS succeeded,
    coalesce(sum(truncated), 0)::bigint AS truncated, coalesce(sum(declined), 0)::bigint AS declined,
    coalesce(sum(failed), 0)::bigint AS failed,
    histogram_percentile(histogram_sum(total), 0.5) AS p50_ms,
    histogram_percentile(histogram_sum(total), 0.95) AS p95_ms,
    (SELECT refunded FROM given_back) AS refunded, (SELECT owed FROM given_back) AS owed
FROM sold;

-- name: offers(resource_id, since, until)
-- What a product was on offer as in that time, and at its beginning, oldest first.
SELECT offer.offered_at, version.number, version.price_atomic
FROM resource_offers AS offer JOIN resource_versions AS version ON version.id = offer.version_id
WHERE offer.resource_id = :resource_id AND offer.offered_at >= coalesce((
    SELECT max(earlier.offered_at) FROM resource_offers AS earlier
    WHERE earlier.resource_id = :resource_id AND earlier.offered_at <= :since
), :since) AND offer.offered_at < :until
ORDER BY offer.offered_at;

-- name: now()$
-- The moment that a snapshot shows.
SELECT now();
