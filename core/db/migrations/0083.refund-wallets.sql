-- depends: 0082.refund-transfers
-- A creator lets due refunds be paid from a wallet of theirs, up to a cap of a UTC day.

CREATE TABLE refund_wallets (
    id               uuid PRIMARY KEY,
    account_id       uuid NOT NULL UNIQUE REFERENCES accounts,
    address          text NOT NULL CHECK (address ~ '^0x[0-9a-f]{40}$'),
    sealed_key       bytea NOT NULL,
    daily_cap_atomic bigint NOT NULL CHECK (daily_cap_atomic > 0),
    enabled          boolean NOT NULL DEFAULT true,
    trouble          text CHECK (trouble ~ '^[a-z0-9_]+$'),
    created_at       timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE refund_wallets IS 'Wallets that pay refunds by themselves: whoever has the key can take the money, so it should be little.';
COMMENT ON COLUMN refund_wallets.sealed_key IS 'The private key, sealed and never shown.';
COMMENT ON COLUMN refund_wallets.daily_cap_atomic IS 'Most that it pays in one UTC day, in atomic USDC, by refund_transfers.capped_on.';
COMMENT ON COLUMN refund_wallets.trouble IS 'Why refunds were left unpaid at the last try, as a code; NULL: none was.';

ALTER TABLE refund_wallets ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON refund_wallets TO instant_app USING (true);
CREATE POLICY creator ON refund_wallets TO instant_creator USING (account_id = (SELECT acting_account()));
GRANT SELECT, INSERT, UPDATE, DELETE ON refund_wallets TO instant_creator;

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
    UNION ALL
    SELECT 'refund_wallets.sealed_key', account_id, id, sealed_key, created_at FROM refund_wallets
$$;

-- The rules that there are, and one more.
DO $$
DECLARE
    all_rules text;
BEGIN
    SELECT string_agg(DISTINCT quote_literal(matched[1]), ', ') INTO all_rules
    FROM pg_constraint,
        regexp_matches(pg_get_constraintdef(pg_constraint.oid) || '''refunds_unpaid''', '''([a-z_]+)''', 'g') AS matched
    WHERE conname = 'notices_rule_check';
    ALTER TABLE notices DROP CONSTRAINT notices_rule_check;
    EXECUTE format('ALTER TABLE notices ADD CONSTRAINT notices_rule_check CHECK (rule IN (%s))', all_rules);
END $$;
