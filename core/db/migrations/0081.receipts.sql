-- depends: 0080.product-records
-- Receipts that prove what was delivered, deletion at a buyer's wish, and wallets that list what they bought.

ALTER TABLE executions ADD COLUMN delivery jsonb;
ALTER TABLE executions ADD CONSTRAINT executions_delivery_state CHECK (delivery IS NULL OR state = 'succeeded');
COMMENT ON COLUMN executions.delivery IS 'What the receipt says of the answer: salted hashes of request and answer, models, provider, finish reason and tokens. It is kept when the content is deleted, and the salt is deleted with it. NULL: not answered, or answered before receipts were made.';
ALTER TABLE executions ADD COLUMN erased_by_buyer boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN executions.erased_by_buyer IS 'Whether the content was deleted because its buyer asked for it.';

CREATE TABLE receipt_keys (
    key_id     text PRIMARY KEY,
    public_key bytea NOT NULL UNIQUE CHECK (length(public_key) = 32),
    since      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE receipt_keys IS 'Public keys (Ed25519) of all receipts that were ever signed here. They are published for ever, because receipts are kept for ever.';
COMMENT ON COLUMN receipt_keys.key_id IS 'The thumbprint of the key (RFC 7638).';

CREATE TABLE spent_nonces (
    nonce_sha256 bytea PRIMARY KEY CHECK (length(nonce_sha256) = 32),
    spent_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE spent_nonces IS 'Nonces that a wallet signed to list its purchases: each does so once. Kept for longer than a nonce lives.';
CREATE INDEX spent_nonces_time ON spent_nonces (spent_at);

CREATE FUNCTION is_settled_for_good(execution executions) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE execution.state
        WHEN 'succeeded' THEN execution.logged_round = execution.round
        WHEN 'declined' THEN execution.logged_round = execution.round
        WHEN 'failed' THEN execution.logged_round = execution.round AND (
            execution.kind = 'test'
            OR EXISTS (SELECT FROM refunds WHERE refunds.execution_id = execution.id AND refunds.decided_at IS NOT NULL)
        )
        WHEN 'void' THEN EXISTS (SELECT FROM payments WHERE payments.id = execution.payment_id AND proved_at IS NOT NULL)
        ELSE false
    END
$$;
COMMENT ON FUNCTION is_settled_for_good IS 'Whether an execution can no longer change, so that its content may be deleted: logged, with no re-run left and nothing owed; or void, with a payment that can no longer land.';
