-- name: unpriced(tellers, youngest_seconds, oldest_seconds, most)
-- Sends with an unknown cost, at providers that report costs later, oldest first. Younger sends may still run; older
-- ones stay at their worst case.
SELECT sends.execution_id, sends.round, sends.number, sends.generation_id, executions.account_id,
       models.served_by
FROM sends
JOIN executions ON executions.id = sends.execution_id
JOIN resource_versions ON resource_versions.id = executions.version_id
JOIN models ON models.id = resource_versions.model_id
WHERE models.served_by = ANY(CAST(:tellers AS text[]))
    AND sends.cost_usd IS NULL AND sends.generation_id IS NOT NULL
    AND sends.sent_at BETWEEN now() - make_interval(secs => :oldest_seconds)
        AND now() - make_interval(secs => :youngest_seconds)
ORDER BY sends.sent_at
LIMIT :most;

-- name: price(cost_usd, execution_id, round, number)^
-- The first reported cost counts.
UPDATE sends SET cost_usd = :cost_usd
WHERE execution_id = :execution_id AND round = :round AND number = :number AND cost_usd IS NULL
RETURNING number;
