-- name: try_lock(name)$
-- The lock is held until this connection ends. The first number separates these locks from our other hashed locks.
SELECT pg_try_advisory_lock(402404, hashtext(:name));

-- name: unlock(name)!
-- Release the lock at a proper end, so that the next run need not wait for Postgres to notice the closed connection.
SELECT pg_advisory_unlock(402404, hashtext(:name));

-- name: keep_alive()!
-- If a machine vanishes, keepalives make Postgres notice within a minute and release the lock.
SELECT set_config('tcp_keepalives_idle', '30', false) AS idle,
    set_config('tcp_keepalives_interval', '10', false) AS every, set_config('tcp_keepalives_count', '3', false) AS most;

-- name: begin(name, deployment_id, due)$
-- No row if the run is superfluous: a run that began after this one was due has succeeded.
-- types: :due?
INSERT INTO schedules (name, deployment_id, began_at) VALUES (:name, :deployment_id, now())
ON CONFLICT (name) DO UPDATE
SET began_at = now(), deployment_id = coalesce(excluded.deployment_id, schedules.deployment_id)
WHERE NOT coalesce(
    schedules.began_at >= CAST(:due AS timestamptz) AND schedules.succeeded_at >= schedules.began_at, false
)
RETURNING true;

-- name: succeed(name)!
-- Record the success of the run.
UPDATE schedules SET succeeded_at = now() WHERE name = :name;

-- name: deployed(name, deployment_id)!
-- Record the deployment that all runs of this schedule belong to from now on.
INSERT INTO schedules (name, deployment_id) VALUES (:name, :deployment_id)
ON CONFLICT (name) DO UPDATE SET deployment_id = excluded.deployment_id;

-- name: expect(names)!
-- Expect these schedules from now on, unless they already are expected.
INSERT INTO schedules (name) SELECT unnest(:names::text[]) ON CONFLICT (name) DO NOTHING;

-- name: known()
-- All schedules; there are only a few.
SELECT name, deployment_id, succeeded_at,
    extract(epoch FROM now() - coalesce(succeeded_at, expected_since))::float8 AS age_seconds
FROM schedules;
