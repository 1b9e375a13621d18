-- name: deletable(has_media, seconds, most)
-- Executions that can no longer change, and ended so long ago. Those that may have files are selected separately, because
-- files are in another store.
SELECT executions.id
FROM executions
JOIN resource_versions ON resource_versions.id = executions.version_id
WHERE executions.content_deleted_at IS NULL AND executions.finished_at < now() - make_interval(secs => :seconds)
    AND (resource_versions.modality NOT IN ('text', 'json')) = :has_media
    AND is_settled_for_good(executions)
ORDER BY executions.finished_at
LIMIT :most;

-- name: erasable(id)^
-- Whether a buyer may have the content of an execution deleted now, and whether it may have files.
-- types: has_media! is_settled!
SELECT resource_versions.modality NOT IN ('text', 'json') AS has_media, is_settled_for_good(executions) AS is_settled
FROM executions
JOIN resource_versions ON resource_versions.id = executions.version_id
WHERE executions.id = :id;

-- name: delete_content(ids, erased_by_buyer)
-- Delete the content of these executions, unless a concurrent run has done so.
UPDATE executions
SET sealed_inputs = NULL, sealed_result = NULL, content_deleted_at = now(), erased_by_buyer = :erased_by_buyer
WHERE id = ANY(:ids) AND content_deleted_at IS NULL
RETURNING id;
