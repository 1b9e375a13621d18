-- depends: 0073.spend-caps
-- Programs of creators are told what happens: signed posts, delivered from the same outbox as notices.

CREATE TABLE webhooks (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts,
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    events          text[] NOT NULL CHECK (
        events <> '{}' AND events <@ '{call.sold,call.failed,product.paused,key.trouble}'
    ),
    sealed_endpoint bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    delivered_at    timestamptz,
    disabled_at     timestamptz
);
COMMENT ON TABLE webhooks IS 'Where a creator''s programs are told of events.';
COMMENT ON COLUMN webhooks.sealed_endpoint IS 'URL and signing secrets as JSON, sealed: whoever has a secret can pretend to be us.';
COMMENT ON COLUMN webhooks.delivered_at IS 'When it last took a message.';
COMMENT ON COLUMN webhooks.disabled_at IS 'Since when nothing is sent there, because a message failed as often as it is tried and none was taken meanwhile; NULL: it works.';
CREATE INDEX webhooks_account ON webhooks (account_id);

ALTER TABLE webhooks ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON webhooks TO instant_app USING (true);
CREATE POLICY creator ON webhooks TO instant_creator USING (account_id = (SELECT acting_account()));
GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks TO instant_creator;

ALTER TABLE notice_deliveries
    ALTER COLUMN notice_id DROP NOT NULL,
    ADD COLUMN webhook_id uuid REFERENCES webhooks ON DELETE SET NULL,
    ADD COLUMN event text CHECK (event IN ('call.sold', 'call.failed', 'product.paused', 'key.trouble')),
    ADD COLUMN execution_id uuid REFERENCES executions,
    ADD COLUMN round integer,
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
    ADD CHECK (num_nonnulls(notice_id, execution_id) = 1),
    ADD CHECK ((execution_id IS NULL) = (round IS NULL)),
    ADD CHECK (execution_id IS NULL OR event IS NOT NULL),
    ADD CHECK (webhook_id IS NULL OR event IS NOT NULL);
COMMENT ON TABLE notice_deliveries IS 'The outbox, and the log of what was sent where: one row for each notice and address, and for each event and webhook.';
COMMENT ON COLUMN notice_deliveries.webhook_id IS 'NULL once the webhook was removed, and for a message to people.';
COMMENT ON COLUMN notice_deliveries.event IS 'What a webhook is told; NULL: a notice for people.';
COMMENT ON COLUMN notice_deliveries.execution_id IS 'The call that an event is about, with its round; otherwise it is about a notice.';
CREATE UNIQUE INDEX notice_deliveries_once ON notice_deliveries (webhook_id, execution_id, round, event)
    WHERE webhook_id IS NOT NULL AND execution_id IS NOT NULL;
CREATE INDEX notice_deliveries_over ON notice_deliveries (created_at) WHERE execution_id IS NOT NULL;

DROP POLICY creator ON notice_deliveries;
CREATE POLICY creator ON notice_deliveries TO instant_creator USING (
    EXISTS (SELECT FROM notices WHERE notices.id = notice_id)
    OR EXISTS (SELECT FROM executions WHERE executions.id = execution_id)
);

CREATE OR REPLACE FUNCTION sealed_values() RETURNS TABLE (
    place text, account_id uuid, row_id uuid, sealed bytea, stored_at timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT 'provider_keys.sealed_key', account_id, id, sealed_key, created_at FROM provider_keys
    UNION ALL
    SELECT 'resource_versions.sealed_template', resource.account_id, version.id, version.sealed_template,
        version.created_at
    FROM resource_versions AS version JOIN resources AS resource ON resource.id = version.resource_id
    UNION ALL
    SELECT 'notice_addresses.sealed_url', coalesce(account_id, '00000000-0000-0000-0000-000000000000'), id, sealed_url,
        created_at
    FROM notice_addresses
    UNION ALL
    SELECT 'payments.sealed_payload', resource.account_id, payment.id, payment.sealed_payload, payment.created_at
    FROM payments AS payment
    JOIN resource_versions AS version ON version.id = payment.version_id
    JOIN resources AS resource ON resource.id = version.resource_id
    WHERE payment.sealed_payload IS NOT NULL
    UNION ALL
    SELECT 'executions.sealed_inputs', account_id, id, sealed_inputs, created_at FROM executions
    WHERE sealed_inputs IS NOT NULL
    UNION ALL
    SELECT 'executions.sealed_result', account_id, id, sealed_result, created_at FROM executions
    WHERE sealed_result IS NOT NULL
    UNION ALL
    SELECT 'sends.sealed_request', execution.account_id, execution.id, sent.sealed_request, sent.sent_at
    FROM sends AS sent JOIN executions AS execution ON execution.id = sent.execution_id
    WHERE sent.sealed_request IS NOT NULL
    UNION ALL
    SELECT 'key_connections.sealed_verifier', account_id, id, sealed_verifier, created_at FROM key_connections
    UNION ALL
    SELECT 'answer_pieces.sealed_text', execution.account_id, piece.id, piece.sealed_text, piece.written_at
    FROM answer_pieces AS piece JOIN executions AS execution ON execution.id = piece.execution_id
    UNION ALL
    SELECT 'webhooks.sealed_endpoint', account_id, id, sealed_endpoint, created_at FROM webhooks
$$;

ALTER TABLE notices DROP CONSTRAINT notices_rule_check;
ALTER TABLE notices ADD CONSTRAINT notices_rule_check CHECK (rule IN (
    'success_low', 'failures_charged', 'cost_unusual', 'calls_unusual', 'key_failing', 'key_low', 'key_old', 'chain_differs',
    'refunds_repeated', 'model_leaving', 'payout_changing', 'prompt_leaking', 'webhook_disabled'
));

CREATE FUNCTION event_of(notice notices) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN notice.rule IN ('key_failing', 'key_low') THEN 'key.trouble'
        WHEN notice.rule = 'model_leaving' AND notice.facts ->> 'cause' IN ('withdrawn', 'unfit', 'loss')
            THEN 'product.paused'
    END
$$;
COMMENT ON FUNCTION event_of IS 'What a notice is to a webhook; NULL: nothing.';

CREATE FUNCTION is_due(delivery notice_deliveries, pauses integer[], lost_seconds double precision) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT CASE delivery.state
        WHEN 'waiting' THEN delivery.tried_at IS NULL
            OR delivery.tried_at < now() - make_interval(secs => pauses[delivery.tries])
        WHEN 'sending' THEN delivery.tried_at < now() - make_interval(secs => lost_seconds)
        ELSE false
    END
$$;
COMMENT ON FUNCTION is_due IS 'Whether a delivery may be tried now: pauses[n] seconds after its n-th try, and after lost_seconds if whoever tried never said how it ended.';
