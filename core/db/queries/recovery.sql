-- name: free(lease_seconds)
-- Return the executions of dead or stopped owners to the queue. Only those that had begun count as taken over.
WITH gone AS (
    SELECT id FROM workers
    WHERE stopped_at IS NOT NULL OR heartbeat_at < now() - make_interval(secs => :lease_seconds)
), held AS (
    SELECT id FROM executions
    WHERE state IN ('queued', 'running') AND claimed_by IN (SELECT id FROM gone)
    FOR UPDATE SKIP LOCKED
), freed AS (
    UPDATE executions
    SET takeovers = takeovers + (state = 'running')::integer, state = 'queued', claimed_by = NULL, attempt_id = NULL
    WHERE id IN (SELECT id FROM held)
    RETURNING id
), ended AS (
    UPDATE attempts SET ended_at = now(), outcome = 'abandoned'
    WHERE execution_id IN (SELECT id FROM freed) AND ended_at IS NULL
)
SELECT id FROM freed;

-- name: give_up(send_limit, rerun_seconds, takeover_limit)
-- Fail queued executions that reached their limit of sends or takeovers; the fault is ours.
UPDATE executions
SET state = 'failed', code = 'internal_error', fault = 'ours',
    detail = CASE WHEN sends >= :send_limit THEN 'interrupted' ELSE 'takeover_limit' END,
    finished_at = now(),
    rerun_until = CASE WHEN kind = 'paid' THEN now() + make_interval(secs => :rerun_seconds) END
WHERE state = 'queued' AND claimed_by IS NULL AND (sends >= :send_limit OR takeovers >= :takeover_limit)
RETURNING id, round;

-- name: mark_unknown(lease_seconds)
-- A settlement whose owner is dead may or may not have reached the chain.
UPDATE payments SET state = 'unknown', reason = 'owner_gone', owner = NULL
WHERE id IN (
    SELECT payments.id
    FROM payments
    LEFT JOIN workers ON workers.id = payments.owner
    WHERE payments.state = 'settling'
        AND (workers.id IS NULL OR workers.stopped_at IS NOT NULL
            OR workers.heartbeat_at < now() - make_interval(secs => :lease_seconds))
    FOR UPDATE OF payments SKIP LOCKED
)
RETURNING id;

-- name: take_unknown(worker_id, lease_seconds, pause_seconds, longest_seconds, margin_seconds)
-- Take unknown payments whose time has come, and set the next time: each pause is twice the one before, and one look is
-- due when the authorization can no longer land. No other worker takes them while this one lives.
UPDATE payments
SET owner = :worker_id, looks = looks + 1, look_at = least(
    now() + make_interval(secs => least(:longest_seconds::float8, :pause_seconds * power(2, least(looks, 20)))),
    CASE WHEN now() < valid_before + make_interval(secs => :margin_seconds)
        THEN valid_before + make_interval(secs => :margin_seconds + :pause_seconds) END
)
WHERE id IN (
    SELECT payments.id
    FROM payments
    LEFT JOIN workers ON workers.id = payments.owner
    WHERE payments.state = 'unknown' AND (look_at IS NULL OR look_at <= now())
        AND (workers.id IS NULL OR workers.stopped_at IS NOT NULL
            OR workers.heartbeat_at < now() - make_interval(secs => :lease_seconds))
    ORDER BY look_at NULLS FIRST, payments.created_at
    LIMIT 50
    FOR UPDATE OF payments SKIP LOCKED
)
RETURNING id;

-- name: release_unknown(id, worker_id)!
-- The payment is still unknown; a later pass tries again.
UPDATE payments SET owner = NULL WHERE id = :id AND state = 'unknown' AND owner = :worker_id;

-- name: is_work_left()$
-- Whether queued executions are unclaimed.
SELECT EXISTS (SELECT 1 FROM executions WHERE state = 'queued' AND claimed_by IS NULL);

-- name: watch(pause_seconds)
-- Refused payments whose authorization is still valid: anyone who holds it could submit it.
UPDATE payments SET checked_at = now()
WHERE id IN (
    SELECT id FROM payments
    WHERE state = 'failed' AND proved_at IS NULL
        AND (checked_at IS NULL OR checked_at < now() - make_interval(secs => :pause_seconds))
    ORDER BY checked_at NULLS FIRST
    LIMIT 50
    FOR UPDATE SKIP LOCKED
)
RETURNING id;

-- name: end_orphaned_batches(lease_seconds)!
-- Delete the batches of owners without a heartbeat. Stopped owners get the same time to report the end to Prefect.
DELETE FROM batches
USING workers
WHERE workers.id = batches.worker_id AND workers.heartbeat_at < now() - make_interval(secs => :lease_seconds);
