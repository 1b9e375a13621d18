-- depends: 0009.costs

-- Launchers in processes of their own, and runs on work pools.

ALTER TABLE workers DROP CONSTRAINT workers_kind_check;
ALTER TABLE workers ADD CHECK (kind IN ('door', 'executor', 'run', 'recovery'));
COMMENT ON COLUMN workers.kind IS 'door: settles; executor: launches and carries runs; run: one flow run on a work pool, in a process of its own; recovery: decides payments.';

CREATE TABLE batches (
    id         uuid PRIMARY KEY,
    worker_id  uuid NOT NULL REFERENCES workers,
    claimed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE batches IS 'What is being carried now: one row per flow run, gone when it is over or its owner is dead. An unfinished Prefect run whose batch is not here has nobody who will end it.';
CREATE INDEX batches_worker ON batches (worker_id);

COMMENT ON COLUMN attempts.flow_run_id IS 'The Prefect run that carries it: the link from money to what the operator sees. NULL: carried without Prefect, which was away for longer than INSTANT_PREFECT_PATIENCE_SECONDS.';
