-- name: try_lock(name)$
-- For as long as this connection lives. The first number keeps apart what else of ours may lock by a hash.
SELECT pg_try_advisory_lock(402404, hashtext(:name));

-- name: unlock(name)!
-- At a proper end, so that the next run need not wait for Postgres to see the connection go.
SELECT pg_advisory_unlock(402404, hashtext(:name));

-- name: keep_alive()!
-- A machine that vanishes says nothing: Postgres asks after it, and within a minute gives its lock back.
SELECT set_config('tcp_keepalives_idle', '30', false) AS idle,
    set_config('tcp_keepalives_interval', '10', false) AS every, set_config('tcp_keepalives_count', '3', false) AS most;

-- name: begin(name, deployment_id, due)$
-- Nothing comes back where a run that was due has been made up for: a later one began after that, and succeeded.
-- types: :due?
INSERT INTO schedules (name, deployment_id, began_at) VALUES (:name, :deployment_id, now())
ON CONFLICT (name) DO UPDATE
SET began_at = now(), deployment_id = coalesce(excluded.deployment_id, schedules.deployment_id)
WHERE NOT coalesce(
    schedules.began_at >= CAST(:due AS timestamptz) AND schedules.succeeded_at >= schedules.began_at, false
)
RETURNING true;

-- name: succeed(name)!
-- What it was there for is done.
UPDATE schedules SET succeeded_at = now() WHERE name = :name;

-- name: deployed(name, deployment_id)!
-- A deployment was made, and it has the only runs of this schedule from now on.
INSERT INTO schedules (name, deployment_id) VALUES (:name, :deployment_id)
ON CONFLICT (name) DO UPDATE SET deployment_id = excluded.deployment_id;

-- name: expect(names)!
-- The first who knows a schedule says from when on it is missed.
INSERT INTO schedules (name) SELECT unnest(:names::text[]) ON CONFLICT (name) DO NOTHING;

-- name: known()
-- All of them, few as they are.
SELECT name, deployment_id, succeeded_at,
    extract(epoch FROM now() - coalesce(succeeded_at, expected_since))::float8 AS age_seconds
FROM schedules;
