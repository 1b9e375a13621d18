-- name: deletable(has_media, seconds, most)
-- Executions that can no longer change: logged, with no re-run left and nothing owed; or void, with a payment that can
-- no longer land. Those that may have files are selected separately, because files are in another store.
SELECT executions.id
FROM executions
JOIN resource_versions ON resource_versions.id = executions.version_id
LEFT JOIN payments ON payments.id = executions.payment_id
LEFT JOIN refunds ON refunds.execution_id = executions.id
WHERE executions.content_deleted_at IS NULL AND executions.finished_at < now() - make_interval(secs => :seconds)
    AND (resource_versions.modality NOT IN ('text', 'json')) = :has_media
    AND CASE executions.state
        WHEN 'succeeded' THEN executions.logged_round = executions.round
        WHEN 'declined' THEN executions.logged_round = executions.round
        WHEN 'failed' THEN executions.logged_round = executions.round
            AND (executions.kind = 'test' OR refunds.decided_at IS NOT NULL)
        WHEN 'void' THEN payments.proved_at IS NOT NULL
        ELSE false
    END
ORDER BY executions.finished_at
LIMIT :most;

-- name: delete_content(ids)
-- Delete the content of these executions, unless a concurrent run has done so.
UPDATE executions SET sealed_inputs = NULL, sealed_result = NULL, content_deleted_at = now()
WHERE id = ANY(:ids) AND content_deleted_at IS NULL
RETURNING id;
