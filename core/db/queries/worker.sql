-- name: register(id, kind, host, pid, flow_run_id, master_key_ids)!
-- Register a process.
INSERT INTO workers (id, kind, host, pid, flow_run_id, master_key_ids)
VALUES (:id, :kind, :host, :pid, :flow_run_id, :master_key_ids);

-- name: beat(id)$
-- Record a heartbeat; return whether the process is asked to drain. A worker that was wrongly taken for dead is registered
-- again; late writes of its lost attempts are refused.
UPDATE workers SET heartbeat_at = now(), stopped_at = NULL WHERE id = :id RETURNING drain_asked_at IS NOT NULL;

-- name: stop(id)!
-- The process stopped in good order; its claims are free at once.
UPDATE workers SET stopped_at = now() WHERE id = :id;

-- name: launchers(lease_seconds)$
-- Count the processes that launch queued executions.
SELECT count(*) FROM workers
WHERE kind = 'executor' AND drain_asked_at IS NULL AND stopped_at IS NULL AND heartbeat_at > now() - make_interval(secs => :lease_seconds);

-- name: signs(flow_run_ids, lease_seconds)
-- A run that is retried has several workers; it is alive if any of them is.
-- types: flow_run_id!
SELECT flow_run_id, max(coalesce(stopped_at, heartbeat_at)) AS at,
    bool_or(stopped_at IS NULL AND heartbeat_at > now() - make_interval(secs => :lease_seconds)) AS is_alive
FROM workers
WHERE flow_run_id = ANY(:flow_run_ids)
GROUP BY flow_run_id;

-- name: processes(lease_seconds)
-- Doors and executors that ran in the last day and were not stopped, each once: a door with a launcher has two workers.
-- `busy` are the executions that it has claimed and the payments that it settles; `has_heard`: it knows that it is asked.
-- types: row=Process drain_asked_at?
SELECT CASE WHEN bool_or(workers.kind = 'door') THEN 'door' ELSE 'executor' END AS kind, workers.host, workers.pid,
    array_agg(workers.id ORDER BY workers.id) AS ids,
    bool_or(workers.heartbeat_at > now() - make_interval(secs => :lease_seconds)) AS is_alive,
    max(workers.heartbeat_at) AS heartbeat_at, min(workers.drain_asked_at) AS drain_asked_at,
    coalesce(bool_and(workers.heartbeat_at > workers.drain_asked_at), false) AS has_heard,
    sum((
        SELECT count(*) FROM executions
        WHERE executions.claimed_by = workers.id AND executions.state IN ('queued', 'running')
    ) + (
        SELECT count(*) FROM payments WHERE payments.owner = workers.id AND payments.state = 'settling'
    ))::bigint AS busy
FROM workers
WHERE workers.kind IN ('door', 'executor') AND workers.stopped_at IS NULL
    AND workers.heartbeat_at > now() - make_interval(days => 1)
GROUP BY workers.host, workers.pid
ORDER BY 1, workers.host, workers.pid;

-- name: ask_to_drain(ids)!
-- Ask these workers to take no new work. They read it with their next heartbeat.
UPDATE workers SET drain_asked_at = coalesce(drain_asked_at, now()) WHERE id = ANY(:ids::uuid[]) AND stopped_at IS NULL;
