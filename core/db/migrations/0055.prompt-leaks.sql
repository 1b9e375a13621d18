-- depends: 0054.prompt-shield
-- Answers that give a template away are counted, and their creator is told.

ALTER TABLE executions ADD COLUMN leak text CHECK (leak IN ('canary', 'overlap'));
ALTER TABLE executions ADD CONSTRAINT executions_leak_state CHECK (leak IS NULL OR state = 'succeeded');
COMMENT ON COLUMN executions.leak IS 'What the delivered answer gives away of the template: our canary, or a long part of it. NULL: nothing was found, or nobody looked.';
ALTER TABLE usage_log ADD COLUMN leak text CHECK (leak IN ('canary', 'overlap'));
COMMENT ON COLUMN usage_log.leak IS 'What the delivered answer gives away of the template.';
ALTER TABLE usage_rollup ADD COLUMN watched bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN usage_rollup.watched IS 'Calls whose answer was delivered although it gives its template away; succeeded has them too.';
ALTER TABLE usage_rollup ADD COLUMN withheld bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN usage_rollup.withheld IS 'Calls whose answer was withheld because it gives its template away; failed and declined have them too.';

ALTER TABLE notices DROP CONSTRAINT notices_rule_check;
ALTER TABLE notices ADD CONSTRAINT notices_rule_check CHECK (rule IN (
    'success_low', 'failures_charged', 'cost_unusual', 'calls_unusual', 'key_failing', 'key_low', 'key_old', 'chain_differs',
    'refunds_repeated', 'model_leaving', 'payout_changing', 'prompt_leaking'
));
