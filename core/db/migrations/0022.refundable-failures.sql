-- depends: 0021.chain-verification
-- What one wallet can cost a creator in a day by asking for answers that fail.

CREATE TABLE refundable_failures (
    execution_id uuid NOT NULL REFERENCES executions,
    round        integer NOT NULL,
    payer        text NOT NULL,
    resource_id  uuid NOT NULL REFERENCES resources,
    failed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (execution_id, round)
);
COMMENT ON TABLE refundable_failures IS 'Rounds of paid executions that failed in a way that a buyer''s words can cause, and that cost the creator a generation. Only the last day counts; older rows are deleted.';
CREATE INDEX refundable_failures_payer ON refundable_failures (payer, resource_id, failed_at);
CREATE INDEX refundable_failures_time ON refundable_failures (failed_at);
CREATE INDEX payments_payer_time ON payments (payer, created_at);

CREATE FUNCTION refused_until(of_payer text, of_resource uuid, most integer) RETURNS timestamptz
    LANGUAGE sql STABLE AS $$
    SELECT (array_agg(failed_at ORDER BY failed_at DESC))[most] + interval '1 day'
    FROM refundable_failures
    WHERE payer = of_payer AND resource_id = of_resource AND failed_at > now() - interval '1 day'
    HAVING count(*) >= most AND count(*) * 10 >= (
        SELECT count(*)
        FROM payments JOIN resource_versions AS version ON version.id = payments.version_id
        WHERE payments.payer = of_payer AND version.resource_id = of_resource AND payments.state = 'paid'
            AND payments.created_at > now() - interval '1 day'
    )
$$;
COMMENT ON FUNCTION refused_until IS 'When this wallet may buy this resource again: it has had so many refundable failures in a day, and a tenth of its purchases. NULL when it may now.';

ALTER TABLE notices DROP CONSTRAINT notices_rule_check;
ALTER TABLE notices ADD CONSTRAINT notices_rule_check CHECK (rule IN (
    'success_low', 'failures_charged', 'cost_unusual', 'calls_unusual', 'key_failing', 'key_low', 'chain_differs',
    'refunds_repeated'
));
