-- name: register(id, kind, host, pid, flow_run_id)!
-- A process introduces itself.
INSERT INTO workers (id, kind, host, pid, flow_run_id) VALUES (:id, :kind, :host, :pid, :flow_run_id);

-- name: beat(id)!
-- Still here. A worker that was taken for dead and is not comes back to life: its late writes are refused by attempt.
UPDATE workers SET heartbeat_at = now(), stopped_at = NULL WHERE id = :id;

-- name: stop(id)!
-- Left in good order; what it still held is free at once.
UPDATE workers SET stopped_at = now() WHERE id = :id;

-- name: launchers(lease_seconds)$
-- How many processes would run what is queued now.
SELECT count(*) FROM workers
WHERE kind = 'executor' AND stopped_at IS NULL AND heartbeat_at > now() - make_interval(secs => :lease_seconds);

-- name: signs(flow_run_ids, lease_seconds)
-- A run that is retried has several: it is carried if any of them lives.
-- types: flow_run_id!
SELECT flow_run_id, max(coalesce(stopped_at, heartbeat_at)) AS at,
    bool_or(stopped_at IS NULL AND heartbeat_at > now() - make_interval(secs => :lease_seconds)) AS is_alive
FROM workers
WHERE flow_run_id = ANY(:flow_run_ids)
GROUP BY flow_run_id;
