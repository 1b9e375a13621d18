-- name: register(id, kind, host, pid, flow_run_id, master_key_ids)!
-- Register a process.
INSERT INTO workers (id, kind, host, pid, flow_run_id, master_key_ids)
VALUES (:id, :kind, :host, :pid, :flow_run_id, :master_key_ids);

-- name: beat(id)!
-- Record a heartbeat. A worker that was wrongly taken for dead is registered again; late writes of its lost attempts
-- are refused.
UPDATE workers SET heartbeat_at = now(), stopped_at = NULL WHERE id = :id;

-- name: stop(id)!
-- The process stopped in good order; its claims are free at once.
UPDATE workers SET stopped_at = now() WHERE id = :id;

-- name: launchers(lease_seconds)$
-- Count the processes that launch queued executions.
SELECT count(*) FROM workers
WHERE kind = 'executor' AND stopped_at IS NULL AND heartbeat_at > now() - make_interval(secs => :lease_seconds);

-- name: signs(flow_run_ids, lease_seconds)
-- A run that is retried has several workers; it is alive if any of them is.
-- types: flow_run_id!
SELECT flow_run_id, max(coalesce(stopped_at, heartbeat_at)) AS at,
    bool_or(stopped_at IS NULL AND heartbeat_at > now() - make_interval(secs => :lease_seconds)) AS is_alive
FROM workers
WHERE flow_run_id = ANY(:flow_run_ids)
GROUP BY flow_run_id;
