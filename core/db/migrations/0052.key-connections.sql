-- depends: 0051.key-cards
-- A creator connects OpenRouter with one click (OAuth PKCE): what we keep between leaving for it and coming back.

CREATE TABLE key_connections (
    account_id      uuid PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    id              uuid NOT NULL,
    state_sha256    bytea NOT NULL UNIQUE CHECK (length(state_sha256) = 32),
    browser_sha256  bytea NOT NULL CHECK (length(browser_sha256) = 32),
    sealed_verifier bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL
);
COMMENT ON TABLE key_connections IS 'Connections that were begun and not finished, one for each account. Finishing one deletes it first, so each counts once.';
COMMENT ON COLUMN key_connections.browser_sha256 IS 'Of the cookie of the browser that began it. Without it, whoever lures a creator to OpenRouter would get that creator''s key.';

ALTER TABLE key_connections ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON key_connections TO instant_app USING (true);
CREATE POLICY creator ON key_connections TO instant_creator USING (account_id = (SELECT acting_account()));
GRANT SELECT, INSERT, UPDATE, DELETE ON key_connections TO instant_creator;

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
$$;
