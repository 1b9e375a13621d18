-- name: register(id, kind, host, pid)!
-- A process introduces itself.
INSERT INTO workers (id, kind, host, pid) VALUES (:id, :kind, :host, :pid);

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
