-- depends: 0016.keys
-- The re-run rule also answers since when there is no re-run, so that the reconciliation can grant a grace.

CREATE FUNCTION rerun_ends_at(execution executions, rerun_limit integer) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN execution.fault = 'buyer' OR execution.rerun_until IS NULL THEN '-infinity'
        WHEN execution.round > rerun_limit THEN execution.finished_at
        ELSE execution.rerun_until
    END
$$;
COMMENT ON FUNCTION rerun_ends_at IS 'Until when the buyer may run the same inputs of a failed execution again for free: not after a failure of their own, and neither too late nor too often.';

CREATE OR REPLACE FUNCTION may_rerun(execution executions, rerun_limit integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT coalesce(execution.state = 'failed' AND rerun_ends_at(execution, rerun_limit) > now(), false)
$$;
