-- name: snapshot(lease_seconds)^
-- The gauges. Each part reads a partial index of unfinished rows, or the end of a key.
-- types: row! workers=dict[str,int] catalog_age_seconds?
SELECT unfinished.held, unfinished.queued, unfinished.running, unfinished.oldest_queued_seconds,
    undecided.settling, undecided.unknown,
    (
        SELECT coalesce(jsonb_object_agg(kind, living), '{}')
        FROM (
            SELECT kind, count(*) AS living FROM workers
            WHERE stopped_at IS NULL AND heartbeat_at > now() - make_interval(secs => :lease_seconds)
            GROUP BY kind
        ) AS alive
    ) AS workers,
    (SELECT count(*) FROM refunds WHERE state = 'due') AS refunds_due,
    (SELECT count(*) FROM refund_transfers WHERE state = 'sending') AS refunds_sending,
    -- A sync that found nothing new leaves no row, but is a success of its schedule.
    extract(epoch FROM now() - greatest(
        (SELECT at FROM catalog_syncs WHERE outcome <> 'refused' ORDER BY id DESC LIMIT 1),
        (SELECT succeeded_at FROM schedules WHERE name = 'catalog_sync')
    ))::float8 AS catalog_age_seconds
FROM (
    SELECT count(*) FILTER (WHERE state = 'held') AS held, count(*) FILTER (WHERE state = 'queued') AS queued,
        count(*) FILTER (WHERE state = 'running') AS running,
        coalesce(extract(epoch FROM now() - min(queued_at) FILTER (WHERE state = 'queued')), 0)::float8
            AS oldest_queued_seconds
    FROM executions WHERE state IN ('held', 'queued', 'running')
) AS unfinished, (
    SELECT count(*) FILTER (WHERE state = 'settling') AS settling, count(*) FILTER (WHERE state = 'unknown') AS unknown
    FROM payments WHERE state IN ('settling', 'unknown')
) AS undecided;

-- name: networks(networks)
-- Whether these networks are paused, their payments that the chain does not show as told, and those not verified yet.
-- types: row=NetworkState
SELECT served.id AS network, networks.paused_at, count_differing(served.id) AS differing, (
    SELECT count(*) FROM payments
    WHERE payments.state = 'paid' AND payments.verification = 'pending' AND payments.network = served.id
) AS unverified
FROM unnest(:networks::text[]) AS served (id)
LEFT JOIN networks ON networks.id = served.id
ORDER BY served.id;
