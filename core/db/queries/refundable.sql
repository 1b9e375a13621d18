-- name: note(id)!
-- The round of a paid execution has failed in a way that a buyer's words can cause. Rows that no longer count go.
WITH old AS (
    DELETE FROM refundable_failures WHERE failed_at < now() - interval '1 day'
)
INSERT INTO refundable_failures (execution_id, round, payer, resource_id)
SELECT executions.id, executions.round, payments.payer, resource_versions.resource_id
FROM executions
JOIN payments ON payments.id = executions.payment_id
JOIN resource_versions ON resource_versions.id = executions.version_id
WHERE executions.id = :id
ON CONFLICT DO NOTHING;

-- name: refused_until(payer, resource_id, most)$
-- When this wallet may buy this resource again; NULL when it may now.
SELECT refused_until(:payer::text, :resource_id::uuid, :most::integer);

-- name: is_rerun_refused(id, most)$
-- Whether the wallet that paid for an execution may not buy its resource now.
SELECT refused_until(payments.payer, resource_versions.resource_id, :most::integer) IS NOT NULL
FROM executions
JOIN payments ON payments.id = executions.payment_id
JOIN resource_versions ON resource_versions.id = executions.version_id
WHERE executions.id = :id;
