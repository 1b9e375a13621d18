-- depends: 0013.launchers

-- What Prefect cannot be trusted with: that one run of a schedule goes on at a time, and whether any did lately.

CREATE TABLE schedules (
    name           text PRIMARY KEY,
    expected_since timestamptz NOT NULL DEFAULT now(),
    deployment_id  uuid,
    began_at       timestamptz,
    succeeded_at   timestamptz
);
COMMENT ON TABLE schedules IS 'One row per scheduled flow. Whoever holds the advisory lock of its name is its run; the lock ends with the connection.';
COMMENT ON COLUMN schedules.expected_since IS 'From when on it has to succeed now and then: when a door that knows this schedule first met this database.';
COMMENT ON COLUMN schedules.deployment_id IS 'The Prefect deployment that it runs from. Other deployments'' runs on the same server are somebody else''s. NULL: none was made or run yet.';
COMMENT ON COLUMN schedules.began_at IS 'When its last run began its work. NULL: never.';
COMMENT ON COLUMN schedules.succeeded_at IS 'When a run last came to its end, Completed. NULL: never.';

ALTER TABLE workers DROP CONSTRAINT workers_kind_check;
ALTER TABLE workers
    ADD CONSTRAINT workers_kind_check CHECK (kind IN ('door', 'executor', 'run', 'recovery', 'schedule')),
    ADD COLUMN flow_run_id uuid;
COMMENT ON COLUMN workers.kind IS 'door: settles; executor: launches and carries runs; run: one flow run on a work pool, in a process of its own; schedule: one run of a scheduled flow, of which recovery decides payments; recovery: the same, before all of them were workers.';
COMMENT ON COLUMN workers.flow_run_id IS 'The one Prefect run that this process is there for; NULL: none, or many.';
CREATE INDEX workers_flow_run ON workers (flow_run_id) WHERE flow_run_id IS NOT NULL;
