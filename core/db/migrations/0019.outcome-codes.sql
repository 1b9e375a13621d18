-- depends: 0018.cost-backfill
-- A buyer is told one of four codes. usage_log copies it, and the database holds both to these words.

ALTER TABLE executions ADD CONSTRAINT executions_code_check
    CHECK (code IN ('content_filtered', 'generation_timeout', 'resource_unavailable', 'internal_error'));
ALTER TABLE usage_log ADD CONSTRAINT usage_log_code_check
    CHECK (code IN ('content_filtered', 'generation_timeout', 'resource_unavailable', 'internal_error'));
