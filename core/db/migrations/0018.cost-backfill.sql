-- depends: 0017.rerun-ends
-- The flow that asks providers for unknown costs is called cost_backfill: a reconciliation is what compares books.

UPDATE schedules SET name = 'cost_backfill', deployment_id = NULL WHERE name = 'reconciliation';
