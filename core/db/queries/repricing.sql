-- name: offered(model_ids)
-- The current versions that may call these models, also of archived resources, because they may be restored.
SELECT version.id, version.model_id, version.fallbacks
FROM resources AS resource
JOIN resource_versions AS version ON version.id = resource.version_id
WHERE version.model_id = ANY(CAST(:model_ids AS text[]))
    OR (version.fallbacks <> '{}' AND version.fallbacks && CAST(:model_ids AS text[]));

-- name: reprice(version_id, worst_cost_usd, is_certain_loss)!
-- The version stays as it was published; this row holds what it costs today.
INSERT INTO repriced_versions (version_id, worst_cost_usd, is_certain_loss)
VALUES (:version_id, :worst_cost_usd, :is_certain_loss)
ON CONFLICT (version_id) DO UPDATE SET
    worst_cost_usd = excluded.worst_cost_usd, is_certain_loss = excluded.is_certain_loss, repriced_at = now();
